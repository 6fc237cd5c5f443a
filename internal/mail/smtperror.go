package mail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
)

// unavailable returns the error of a step that does not depend on the message.
func unavailable(step string, err error) error {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, replied := errors.AsType[*textproto.Error](err)
	if certificate || replied {
		return fmt.Errorf("%w: %w", ErrUnavailable, failure(step, err))
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, failure(step, err))
}

// refusal returns the error of a step where the server decides about this message. Some replies are
// not about the message: 421 closes the connection (RFC 5321, section 3.8), and 503 and 530 mean
// that an earlier step went wrong (RFC 5321, section 4.2.2; RFC 4954, section 6).
func refusal(step string, err error) error {
	reply, replied := errors.AsType[*textproto.Error](err)
	switch {
	case !replied:
		return failure(step, err)
	case reply.Code == 421 || reply.Code == 503 || reply.Code == 530:
		return unavailable(step, err)
	case reply.Code/100 == 5:
		return fmt.Errorf("%w: %s: %s", ErrRejected, step, status(reply))
	default:
		return fmt.Errorf("%w: %s: %s", ErrDeferred, step, status(reply))
	}
}

// failure returns the error of a step, with the server's status codes but not its texts.
func failure(step string, err error) error {
	_, network := errors.AsType[net.Error](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	reply, replied := errors.AsType[*textproto.Error](err)
	switch {
	case replied:
		return fmt.Errorf("%s: the server replied %s", step, status(reply))
	case network, certificate:
		return fmt.Errorf("%s: %w", step, err)
	default: // the error may quote what the server sent
		return fmt.Errorf("%s: the connection broke or the server's reply is invalid", step)
	}
}

// enhancedCode matches the enhanced status code at the beginning of a line of a reply
// (RFC 2034, section 4; RFC 3463, section 2).
var enhancedCode = regexp.MustCompile(`(?m)^[245]\.\d{1,3}\.\d{1,3}\b`)

// status returns the reply code and the enhanced status code, if there is one.
func status(reply *textproto.Error) string {
	return strings.TrimSpace(fmt.Sprint(reply.Code, " ", enhancedCode.FindString(reply.Msg)))
}
