package mail

import (
	"context"
	"errors"
)

// The reasons why a message was not sent. An error without one of them is about this
// attempt, such as a connection that broke in the middle of the message.
var (
	// ErrRejected means that the mail server rejected the recipient or the message
	// permanently (a 5yz reply; RFC 5321, section 4.2.1). A retry would fail too.
	ErrRejected = errors.New("rejected by the mail server")

	// ErrMalformed means that the message cannot be written: a header contains a
	// control character, or the recipient is not one bare email.
	ErrMalformed = errors.New("malformed message")

	// ErrDeferred means that the mail server does not accept the recipient or the
	// message at the moment (a 4yz reply).
	ErrDeferred = errors.New("deferred by the mail server")

	// ErrUnavailable means that the mail server replied and accepts no message at all:
	// it refuses the connection, the credentials or the sender.
	ErrUnavailable = errors.New("the mail server is not available")

	// ErrUnreachable means that the mail server did not reply.
	ErrUnreachable = errors.New("the mail server cannot be reached")
)

// Sender sends messages. It is safe for concurrent use.
type Sender interface {
	// Send sends one message. A nil error means that the other side has accepted
	// responsibility for it. After an error other than [ErrRejected] and
	// [ErrMalformed], the message may be sent again. If the connection broke late,
	// the first attempt may have arrived nevertheless.
	Send(ctx context.Context, m Message) error

	// Close closes connections that are not in use.
	Close()
}
