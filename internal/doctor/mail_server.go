package doctor

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// checkMailServer connects to the mail server as for an email, and sends none.
func checkMailServer(ctx context.Context, e *examination) Finding {
	if e.SMTPURL == "" {
		const detail = "there is no mail server (SESAME_SMTP_URL): emails become files in %s, which is for development"
		if !server.IsLocalURL(e.PublicURL) {
			return warn("Set SESAME_SMTP_URL and SESAME_MAIL_FROM: users get no email.", detail, e.MailDir())
		}
		return ok(detail, e.MailDir())
	}
	sender, err := mail.NewSMTP(e.SMTPURL, e.MailFrom, e.SMTPRoots)
	if err != nil {
		return fail("Correct SESAME_SMTP_URL.", "%s", err)
	}
	defer sender.Close()
	certificate, err := sender.Check(ctx)
	_, isInvalid := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isInvalid:
		return fail("Use the host name of the certificate in SESAME_SMTP_URL, or renew the certificate. If it is from your "+
			"own certificate authority, set SESAME_SMTP_CA_FILE.", "%s: %s", sender, err)
	case errors.Is(err, mail.ErrUnreachable):
		return fail("Check host and port in SESAME_SMTP_URL, and that no firewall is in between. Port 587 needs smtp://, "+
			"and port 465 smtps://.", "%s: %s", sender, err)
	case err != nil:
		return fail("The error names the step that the mail server refuses. If it is AUTH, correct the user and password "+
			"in SESAME_SMTP_URL.", "%s: %s", sender, err)
	case certificate == nil:
		return ok("%s accepts connections, without TLS, on this machine", sender)
	}
	return judgeExpiry(certificate, e.Now(), "%s accepts connections and credentials, with TLS", sender)
}
