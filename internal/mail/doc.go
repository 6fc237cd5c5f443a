// Package mail writes the letters Sesame sends and sees to it that they leave.
//
// # Letters
//
// [ResetPassword] and [PasswordChanged] turn data into a [Message]: a subject,
// a text part and an HTML part. The name in them is whatever somebody typed at
// registration, for an address that need not be theirs; so it is cleaned, cut,
// escaped, and left out if a mail program would turn it into a link.
//
// # Senders
//
// A [Sender] takes one Message for one recipient. [SMTP] hands it to a mail
// server: TLS is mandatory and the certificate is verified, except towards a
// loopback address when the URL asks for that. [Folder] writes it as an .eml
// file, for development and for the first minute. Neither alters the recipient:
// the address given is the address written to, byte for byte, or the message is
// refused. Errors carry a server's status codes and never its words, which may
// quote a password or a link.
//
// # Outbox
//
// A use case writes what is to be mailed with [Outbox.Enqueue], in the same
// transaction as everything else it does, and [Outbox.Run] sends it later: an
// acknowledged request outlives a crash and an outage of the mail server. The
// row holds a kind and an address, no secret; the letter is composed when it is
// sent, so a lookup, or a token that is worth something, happens there and the
// row looks the same for an address nobody has.
//
// Delivery is at least once. A worker that dies between the mail server's
// acceptance and the deletion of the row leaves a row that is sent again, as a
// newly composed letter. A letter is given up, with a log record, when the
// server rejects it for good ([ErrRejected]), when it cannot be written as a
// mail ([ErrMalformed]), or when it fails 24 hours or more after it was
// enqueued.
//
// Workers of several instances share one table. They agree by the clock: a row
// in hand is hidden for a lease of two minutes, a letter is worked on for one
// minute at most, so clocks may differ by up to a minute.
package mail
