// Package mail writes the emails that Sesame sends and delivers them.
//
// # Messages
//
// [ResetPassword] and [PasswordChanged] return a [Message] with a subject, a text
// part and an HTML part. All messages have the same layout, in the name and color
// of the brand. They contain no text that a user chose, and load nothing.
//
// # Senders
//
// A [Sender] delivers one message to one recipient. [SMTP] sends it to a mail
// server. TLS 1.2 or newer is mandatory and the certificate is verified, unless
// the server is on this machine and the URL says tls=off. A connection is kept for
// the next messages. If the server closed it meanwhile, MAIL fails, the first
// command of a message; then a new connection sends the message. A failure of a
// later command is never repeated immediately, because the message may have
// arrived. [Folder] writes the message as an .eml file, for development. Neither
// changes the recipient: the message is sent to exactly the given email, or
// refused. Errors contain the status codes of a server but not its texts, which
// may quote a password or a link.
//
// # Outbox
//
// [Outbox.Enqueue] stores an email in the caller's transaction, and [Outbox.Run]
// sends it later. An acknowledged request therefore survives a crash and an outage
// of the mail server. An [Entry] contains a kind and an email, and nothing secret.
// The message is composed when it is sent: lookups and new tokens happen then, so
// the entry looks the same for an email without an account.
//
// Up to 16 emails are sent at the same time, so one that hangs does not delay the
// others. Fewer are sent if the mail server refuses connections. A message that the
// server defers is retried after a second, then two, up to 15 minutes. If the server
// is down, one message a second finds out when it is up, and then all are due.
// Both is decided in pace.go.
//
// A message is given up, and logged, if the server rejects it permanently
// ([ErrRejected]), if it cannot be written ([ErrMalformed]), or if an attempt fails
// 24 hours or more after it was enqueued. It stays in the table as a dead letter for
// a week, with its last error, for [Outbox.Unsent], [Outbox.Retry] and [Outbox.Drop].
//
// Instances share the table. One conditional statement decides who sends an email
// and gives it a lease, which its sender renews with heartbeats. An instance that
// sees the same heartbeat for five seconds may take the email over. It measures them
// with its own clock, so clocks may differ. The sender stops if it loses the lease.
//
// Messages are delivered at least once. If a sender dies after the mail server
// accepted a message and before the entry was deleted, the message is composed and
// sent again.
package mail
