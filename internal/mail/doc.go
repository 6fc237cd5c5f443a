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
// server. TLS is mandatory and the certificate is verified, unless the server is
// on this machine and the URL says tls=off. [Folder] writes it as an .eml file,
// for development. Neither changes the recipient: the message is sent to exactly
// the given email, or refused. Errors contain the status codes of a server but
// not its texts, which may quote a password or a link.
//
// # Outbox
//
// [Outbox.Enqueue] stores an email in the caller's transaction, and [Outbox.Run]
// sends it later. An acknowledged request therefore survives a crash and an outage
// of the mail server. A row contains a kind and an email, and nothing secret. The
// message is composed when it is sent: lookups and new tokens happen then, so the
// row looks the same for an email without an account.
//
// Messages are delivered at least once. If a worker stops after the mail server
// accepted a message and before the row was deleted, the message is composed and
// sent again. A message is given up, and logged, if the server rejects it
// permanently ([ErrRejected]), if it cannot be written ([ErrMalformed]), or if an
// attempt fails 24 hours or more after it was enqueued.
//
// Workers of several instances share the table and rely on their clocks. A row
// that is being sent is hidden for a lease of two minutes, and an attempt takes
// at most one minute, so clocks may differ by up to a minute.
package mail
