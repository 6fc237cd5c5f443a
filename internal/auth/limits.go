package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// The limits on guessing passwords (NIST SP 800-63B-4, section 3.2.2: at most 100 consecutive
// failures), on registrations, on emails, and on changes of an account. Networks are those of
// [throttle.Network]; each limit on a network also applies, ten times as large, to the wide network
// around it.
//
// A known network of a user is one that the user has logged in from (see known_network.go). There
// the limits on networks do not apply to this user, or anybody in the network could lock its users
// out.
var (
	// passwordsPerNetwork is shared by all operations that hash a password.
	passwordsPerNetwork = throttle.Limit{Name: "passwords per network", Burst: 30, Per: time.Minute}
	// emailsPerNetwork counts each email once. It stops an attacker who tries one password on many
	// accounts.
	emailsPerNetwork = throttle.Limit{Name: "emails per network", Burst: 20, Per: 15 * time.Minute}
	// loginsPerNetworkAndEmail applies to known and unknown networks.
	loginsPerNetworkAndEmail = throttle.Limit{Name: "logins per email and network", Burst: 10, Per: 15 * time.Minute}
	// loginsPerEmail stops guessing from many unknown networks, and loginsPerKnownNetwork stops
	// guessing from one known network of the user. Each has its own budget, or an attacker could
	// lock the user out everywhere. Once it is spent, it allows one more attempt each hour.
	loginsPerEmail        = throttle.Limit{Name: "logins per email", Burst: 100, Per: 100 * time.Hour}
	loginsPerKnownNetwork = throttle.Limit{Name: "logins per email and known network", Burst: 100, Per: 100 * time.Hour}

	// The limits on guessing codes of a second factor. They count only wrong codes.
	codesPerAccount      = throttle.Limit{Name: "codes per account", Burst: 5, Per: 15 * time.Minute}
	codesPerKnownNetwork = throttle.Limit{Name: "codes per account and known network", Burst: 5, Per: 15 * time.Minute}

	passkeyLoginsPerNetwork = throttle.Limit{Name: "passkey logins per network", Burst: 30, Per: time.Minute}

	registrationsPerNetwork = throttle.Limit{Name: "registrations per network", Burst: 200, Per: 24 * time.Hour}

	// resetsPerAccount limits how often a valid reset token may be tried. No limit on the network
	// applies to it: a reset must be possible while somebody else floods the network.
	resetsPerAccount = throttle.Limit{Name: "resets per account", Burst: 30, Per: 15 * time.Minute}

	// The limits on emails with links. Each kind of email has its own budgets. A known network of the
	// user has budgets of its own, so a stranger cannot use up those of the user; and one unknown
	// network cannot use up those of all.
	linkRequestsPerNetwork = throttle.Limit{Name: "link requests per network", Burst: 10, Per: time.Hour}
	linkEmailsPerMinute    = throttle.Limit{Name: "link emails per minute", Burst: 1, Per: time.Minute}
	linkEmailsPerNetwork   = throttle.Limit{Name: "link emails per network", Burst: 3, Per: 24 * time.Hour}
	linkEmailsPerDay       = throttle.Limit{Name: "link emails per day", Burst: 5, Per: 24 * time.Hour}
	// linkEmailsToAccount limits the emails that all known networks of a user can request.
	linkEmailsToAccount = throttle.Limit{Name: "link emails per account", Burst: 20, Per: 24 * time.Hour}
	// noticesPerMailbox limits each kind of notice that an attacker could cause again and again.
	noticesPerMailbox = throttle.Limit{Name: "notices per mailbox", Burst: 5, Per: 24 * time.Hour}

	// The limits on what a logged-in user may do. Each change of the password, the email or a factor
	// sends an email, which may go to a mailbox of somebody else.
	passwordChangesPerAccount = throttle.Limit{Name: "password changes per account", Burst: 10, Per: 24 * time.Hour}
	emailChangesPerAccount    = throttle.Limit{Name: "email changes per account", Burst: 5, Per: 24 * time.Hour}
	factorChangesPerAccount   = throttle.Limit{Name: "factor changes per account", Burst: 30, Per: 24 * time.Hour}
	exportsPerAccount         = throttle.Limit{Name: "exports per account", Burst: 10, Per: time.Hour}
)

// reserve charges an attempt to its limits. If the attempt is throttled, reserve records that.
func (s *Service) reserve(
	ctx context.Context, event audit.Event, charges ...throttle.Charge,
) (*throttle.Reservation, error) {
	reservation, err := s.throttle.Reserve(ctx, charges...)
	if throttled, ok := errors.AsType[*ThrottledError](err); ok {
		if failed := s.recordThrottled(ctx, event, throttled); failed != nil {
			return nil, failed
		}
	}
	return reservation, err
}

// recordThrottled records an attempt that a limit refused, once for each budget, so that a flood of
// refusals writes nothing, from however many networks it comes. It logs a warning if the budget is
// that of a user, who is locked out.
func (s *Service) recordThrottled(ctx context.Context, event audit.Event, refused *ThrottledError) error {
	s.config.Observer.Throttled(refused.Limit)
	event.Outcome = audit.Throttled
	event.Detail = refused.Limit + ": too many attempts; further ones are not recorded for 15 minutes"
	once := throttle.Charge{Limit: repeatedEvents, Subject: string(event.Kind) + " " + refused.Budget}
	recorded, err := s.recordOnce(ctx, event, once)
	if recorded && (refused.Limit == loginsPerEmail.Name || refused.Limit == loginsPerKnownNetwork.Name) {
		s.warn("a user is locked out after 100 failed logins; a password reset lifts this", event)
	}
	return err
}

// settle ends the reservation of an attempt that returned err. It refunds the attempt if the
// password was never hashed: nothing was revealed. It also does if the password was right, and a
// limit of what comes after it was exceeded.
func (s *Service) settle(ctx context.Context, reservation *throttle.Reservation, err error) {
	_, throttled := errors.AsType[*ThrottledError](err)
	if throttled || errors.Is(err, password.ErrBusy) {
		_ = s.db.Transaction(ctx, reservation.Refund) // best effort
	}
	reservation.End()
}

// reserveLogin charges a login to its limits. They apply to the email as typed, whether or not it
// has an account, so that being throttled reveals nothing. It also returns the user, if the network
// is known.
//
// The user is not read otherwise: a refusal would take longer if there is one.
func (s *Service) reserveLogin(
	ctx context.Context, typed string, event audit.Event,
) (reservation *throttle.Reservation, known *loginUser, err error) {
	email := event.Email
	if email == "" {
		email = strings.ToLower(typed)
	}
	pair := throttle.Charge{
		Limit: loginsPerNetworkAndEmail, Subject: string(s.networkPseudonym(email, event.IP)),
	}
	if refused := s.throttle.Refused(pair); refused != nil { // in a flood, which then costs no query
		return nil, nil, cmp.Or(s.recordThrottled(ctx, event, refused), error(refused))
	}
	if known, err = s.knownUser(ctx, email, event.IP); err != nil {
		return nil, nil, err
	}
	if known != nil {
		reservation, err = s.reserve(ctx, event, pair, throttle.Charge{Limit: loginsPerKnownNetwork, Subject: pair.Subject})
		return reservation, known, err
	}
	reservation, err = s.reserve(ctx, event, slices.Concat(
		throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(event.IP),
		throttle.Charge{Limit: emailsPerNetwork, Distinct: email}.PerNetwork(event.IP),
		[]throttle.Charge{pair, {Limit: loginsPerEmail, Subject: email}},
	)...)
	return reservation, nil, err
}

// clearLimits lifts everything that stands between a user and the next login, after the password
// was replaced: guesses with the old one are irrelevant.
func (s *Service) clearLimits(tx *gorm.DB, user *User, pairs ...[]byte) error {
	for _, pair := range pairs { // in the order of reserveLogin, which locks the rows, too
		for _, limit := range []throttle.Limit{loginsPerNetworkAndEmail, loginsPerKnownNetwork, codesPerKnownNetwork} {
			if err := s.throttle.Clear(tx, limit, string(pair)); err != nil {
				return err
			}
		}
	}
	if err := s.throttle.Clear(tx, loginsPerEmail, user.Email); err != nil {
		return err
	}
	return s.throttle.Clear(tx, codesPerAccount, user.ID.String())
}

// reserveLinkEmail charges an email with a link to the budgets of the mailbox, and reports whether
// it may be sent. known says whether the request came from a known network of the user with this
// email.
func (s *Service) reserveLinkEmail(
	ctx context.Context, event audit.Event, kind mail.Kind, email string, known bool,
) (allowed bool, err error) {
	return s.allows(ctx, event, linkEmailCharges(kind, email, event.IP, known)...)
}

// allowsNotice charges a notice to the budget of the mailbox, and reports whether it may be sent.
func (s *Service) allowsNotice(ctx context.Context, event audit.Event, kind mail.Kind, email string) (bool, error) {
	return s.allows(ctx, event, throttle.Charge{Limit: noticesPerMailbox, Subject: string(kind) + " " + withoutTag(email)})
}

// allows charges something that is left out without an error if a budget is spent.
func (s *Service) allows(ctx context.Context, event audit.Event, charges ...throttle.Charge) (bool, error) {
	reservation, err := s.reserve(ctx, event, charges...)
	if _, throttled := errors.AsType[*ThrottledError](err); throttled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	reservation.End()
	return true, nil
}

// linkEmailCharges returns the charges for one email with a link. They limit the emails to a
// mailbox, so a tag in the email gets no budget of its own.
func linkEmailCharges(kind mail.Kind, email, ip string, known bool) []throttle.Charge {
	mailbox := string(kind) + " " + withoutTag(email)
	inNetwork := mailbox + " " + throttle.Network(ip) // an email contains no space
	if known {
		return []throttle.Charge{
			{Limit: linkEmailsToAccount, Subject: string(kind) + " " + email},
			{Limit: linkEmailsPerDay, Subject: inNetwork},
			{Limit: linkEmailsPerMinute, Subject: inNetwork},
		}
	}
	return []throttle.Charge{
		{Limit: linkEmailsPerDay, Subject: mailbox},
		{Limit: linkEmailsPerMinute, Subject: mailbox},
		{Limit: linkEmailsPerNetwork, Subject: inNetwork},
	}
}
