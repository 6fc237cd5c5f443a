package mail

import (
	"context"
	"errors"
)

var (
	// ErrRejected means that the mail server rejected the recipient or the message
	// permanently (a 5yz reply; RFC 5321, section 4.2.1). A retry would fail too.
	ErrRejected = errors.New("rejected by the mail server")

	// ErrMalformed means that the message cannot be written: a header contains a
	// control character, or the recipient is not one bare email.
	ErrMalformed = errors.New("malformed message")
)

// Sender sends one message. A nil error means that the other side has accepted
// responsibility for it. After an error other than [ErrRejected] and
// [ErrMalformed], the message may be sent again. If the connection broke late,
// the first attempt may have arrived nevertheless.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
