package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sesame-auth/sesame/client"
)

func Example() {
	ctx := context.Background()
	session, err := client.New(client.Config{
		Server:  "https://auth.example.com",
		Origins: []string{"https://api.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := session.Login(ctx, "ada@example.com", "correct horse battery staple"); err != nil {
		log.Fatal(err)
	}
	api := &http.Client{Transport: session} // adds the access token, and refreshes it
	response, err := api.Get("https://api.example.com/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
}

// A pointer that is nil keeps a value. RemoveBio removes the bio.
func ExampleClient_UpdateAccount() {
	ctx := context.Background()
	session, err := client.New(client.Config{Server: "https://auth.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	account, err := session.UpdateAccount(ctx, client.AccountChange{Name: new("Ada King"), RemoveBio: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.Name)
}

// If the account has a second factor, the login continues with a code of the authenticator app.
func ExampleClient_CompleteLogin() {
	ctx := context.Background()
	session, err := client.New(client.Config{Server: "https://auth.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	err = session.Login(ctx, "ada@example.com", "correct horse battery staple")
	if problem, ok := errors.AsType[*client.Problem](err); ok &&
		problem.Code == client.ProblemCodeSecondFactorRequired {
		err = session.CompleteLogin(ctx, problem.LoginToken, ask("Code: "))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Some operations need a recent login. OnStepUp asks for the password and, if the account has a
// second factor, a code. The operation then continues.
func ExampleConfig_stepUp() {
	var session *client.Client
	session, err := client.New(client.Config{
		Server:  "https://auth.example.com",
		Origins: []string{"https://api.example.com"},
		OnStepUp: func(ctx context.Context, _ client.StepUp) error {
			factors, err := session.Factors(ctx)
			if err != nil {
				return err
			}
			code := ""
			if len(factors.Factors) > 0 {
				code = ask("Code: ")
			}
			return session.Reauthenticate(ctx, ask("Password: "), code)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := session.RemoveTOTP(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// ask asks the user.
func ask(prompt string) string {
	fmt.Fprint(os.Stderr, prompt)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// The session continues after a change of the password. A wrong password is the problem
// incorrect_password.
func ExampleClient_ChangePassword() {
	ctx := context.Background()
	session, err := client.New(client.Config{Server: "https://auth.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	err = session.ChangePassword(ctx, "correct horse battery staple", "an even better horse")
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == client.ProblemCodeIncorrectPassword {
		fmt.Println("The current password is wrong.")
	}
}

// This ends every session except the current one.
func ExampleClient_RevokeSession() {
	ctx := context.Background()
	session, err := client.New(client.Config{Server: "https://auth.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := session.Sessions(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sessions {
		if s.Current {
			continue
		}
		if err := session.RevokeSession(ctx, s.ID); err != nil {
			log.Fatal(err)
		}
	}
}

// Switch on the code of a problem, and have a default case: new codes may be added at any time.
func ExampleProblem() {
	message := func(err error) string {
		problem, ok := errors.AsType[*client.Problem](err)
		if !ok {
			return "The server could not be reached."
		}
		switch problem.Code {
		case client.ProblemCodeEmailTaken:
			return "There is an account with this email. Log in, or reset the password."
		case client.ProblemCodeTooManyRequests:
			return fmt.Sprintf("Too many attempts. Try again in %s.", problem.RetryAfter)
		case client.ProblemCodeValidationFailed:
			return problem.Errors[0].Detail
		default:
			return problem.Detail
		}
	}
	fmt.Println(message(&client.Problem{Status: 400, Code: client.ProblemCodeEmailTaken}))
	fmt.Println(message(&client.Problem{Status: 400, Code: "added_tomorrow", Detail: "Something new."}))
	// Output:
	// There is an account with this email. Log in, or reset the password.
	// Something new.
}

// A fileStore keeps the session of a command-line program in a file. Only one process may use it at
// a time.
type fileStore struct {
	path string
	mu   sync.Mutex
}

func (s *fileStore) Load(context.Context) (tokens client.Tokens, err error) {
	content, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return client.Tokens{}, nil // logged out
	}
	if err == nil {
		err = json.Unmarshal(content, &tokens)
	}
	return tokens, err
}

func (s *fileStore) Update(ctx context.Context, change func(client.Tokens) (client.Tokens, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens, err := s.Load(ctx)
	if err != nil {
		return err
	}
	if tokens, err = change(tokens); err != nil {
		return err
	}
	content, err := json.Marshal(tokens)
	if err != nil {
		return err
	}
	// Write a new file and rename it, so that a crash does not leave an incomplete one.
	if err := os.WriteFile(s.path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}

// This Store keeps the tokens in a file, so that the user stays logged in when the program is
// restarted.
func ExampleStore() {
	folder, err := os.MkdirTemp("", "session-")
	if err != nil {
		log.Fatal(err)
	}
	store := &fileStore{path: filepath.Join(folder, "session.json")}
	if _, err := client.New(client.Config{Server: "https://auth.example.com", Store: store}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = store.Update(ctx, func(client.Tokens) (client.Tokens, error) {
		return client.Tokens{AccessToken: "access", RefreshToken: "refresh"}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := store.Load(ctx)
	fmt.Println(tokens.RefreshToken, err)
	os.RemoveAll(folder)
	// Output: refresh <nil>
}
