package mail

import (
	"context"
	"errors"
)

var (
	// ErrRejected: the mail server refused this recipient or this letter for
	// good (a 5yz reply, RFC 5321 §4.2.1). Trying again is useless.
	ErrRejected = errors.New("mail: rejected for good by the server")

	// ErrMalformed: the message cannot be written as a mail, because of a
	// control character in a header or a recipient that is not one bare address.
	ErrMalformed = errors.New("mail: malformed message")
)

// Sender sends one message. A nil error means that the other side has taken
// responsibility for it. After any other error but [ErrRejected] and
// [ErrMalformed] it may be sent again; if the connection broke late, the first
// try may nevertheless have arrived.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
