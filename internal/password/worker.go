package password

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// The protocol between a Hasher and its child processes: when the child is ready, it sends an empty
// response. Then it reads requests from its standard input, and writes a response to each to its
// standard output, until the input ends. A message is its length in four bytes, followed by JSON.

// maxMessage is the maximum length of a message. It is enough for the longest password that the API
// accepts, 1,024 characters, even if normalization makes each several times longer.
const maxMessage = 64 << 10

// request asks for the hash of a password or, if Verify is a stored hash, whether the password
// matches it.
type request struct {
	Password   []byte // returned by prepare
	Verify     string
	Parameters Parameters // of a new hash
}

type response struct {
	Hash    string
	Matches bool
}

// run hashes or verifies the password. It returns ErrHash.
func (r request) run() (response, error) {
	if r.Verify == "" {
		return response{Hash: newHash(string(r.Password), r.Parameters)}, nil
	}
	stored, err := parse(r.Verify)
	if err != nil {
		return response{}, err
	}
	return response{Matches: stored.matches(string(r.Password))}, nil
}

// ServeWorker runs the requests of a Hasher, one at a time and with the lowest priority, until in
// ends. It is the main function of a child process.
//
// It ignores the signals that stop the server. They may be sent to the whole process group, but
// requests in flight still need their hashes. The process ends when the server closes its input or
// exits.
func ServeWorker(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	lowerPriority()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // see serveRequests
	debug.FreeOSMemory()   // used during initialization
	return serveRequests(in, out)
}

func serveRequests(in io.Reader, out io.Writer) error {
	if err := writeMessage(out, response{}); err != nil {
		return fmt.Errorf("hash worker: %w", err)
	}
	for {
		var r request
		if err := readMessage(in, &r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("hash worker: %w", err)
		}
		result, err := r.run()
		if err != nil {
			return fmt.Errorf("hash worker: %w", err)
		}
		if err := writeMessage(out, result); err != nil {
			return fmt.Errorf("hash worker: %w", err)
		}
		// Free the memory of this hash for the next one. Collecting at other times would need twice as
		// much.
		runtime.GC()
	}
}

func writeMessage(w io.Writer, message any) error {
	content, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(content) > maxMessage {
		return errors.New("the message is too long")
	}
	length := binary.BigEndian.AppendUint32(nil, uint32(len(content))) //nolint:gosec // bounded above
	_, err = w.Write(append(length, content...))
	return err
}

// readMessage returns io.EOF if r ends before a message.
func readMessage(r io.Reader, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return errors.New("the message is too long")
	}
	content := make([]byte, n)
	if _, err := io.ReadFull(r, content); err != nil {
		return fmt.Errorf("the message is incomplete: %w", err)
	}
	return json.Unmarshal(content, message)
}
