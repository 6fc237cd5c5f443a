package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
)

const dockerfile = root + "/deploy/docker/Dockerfile"

// These are the rules of `docker build --check`. The two ways to build have the same final stage.
func TestDockerfile(t *testing.T) {
	content, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	source := llb.NewSourceMap(nil, dockerfile, "Dockerfile", content)
	source.Definition = &llb.Definition{} // of the source in BuildKit; there is none
	for _, program := range []string{"compiled", "prebuilt"} {
		results, err := dockerfile2llb.DockerfileLint(t.Context(), content, dockerfile2llb.ConvertOpt{
			Config:       dockerui.Config{BuildArgs: map[string]string{"PROGRAM": program}},
			SourceMap:    source,
			MetaResolver: offline{},
		})
		if err != nil {
			t.Fatal(err)
		}
		if results.Error != nil {
			t.Errorf("PROGRAM=%s: %s", program, results.Error.Message)
		}
		for _, warning := range results.Warnings {
			t.Errorf("PROGRAM=%s: %s: %s: %v", program, warning.RuleName, warning.Detail, warning.Location)
		}
	}
}

// offline says that the base images configure nothing.
type offline struct{}

func (offline) ResolveImageConfig(
	_ context.Context, name string, _ sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	return name, "", []byte(`{"architecture":"amd64","os":"linux","config":{"User":"65532"}}`), nil
}

// The same toolchain builds the image, a release and the tests.
func TestGoVersion(t *testing.T) {
	module, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	toolchain := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindSubmatch(module)
	if toolchain == nil {
		t.Fatal("go.mod has no toolchain")
	}
	compiled := stages(t)[0]
	if want := "golang:" + string(toolchain[1]); compiled.BaseName != want {
		t.Errorf("the Dockerfile builds with %s, want %s, as in go.mod", compiled.BaseName, want)
	}
}

// An image of a registry without a version changes by itself.
func TestBaseImagesHaveVersions(t *testing.T) {
	names := []string{"scratch"}
	for _, stage := range stages(t) {
		name := stage.BaseName
		if !slices.Contains(names, name) && !strings.HasPrefix(name, "${") && !strings.Contains(name, ":") {
			t.Errorf("%s has no version", name)
		}
		names = append(names, stage.Name)
	}
}

func TestContextHasNoSecrets(t *testing.T) {
	folder := t.TempDir()
	if err := copyContext(folder); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".git", ".tools", "deploy", "sesame-data", "client", "docs"} {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the context of docker build contains %s: %v", name, err)
		}
	}
}

// An image is what the final stage of the Dockerfile configures.
type image struct {
	environment []string
	user        string
	entrypoint  []string
	command     []string
	health      []string
	ports       []string
	data        string // the volume
	owner       string // of its folder
}

func readImage(t *testing.T) (i image) {
	t.Helper()
	all := stages(t)
	for _, instruction := range all[len(all)-1].Commands {
		switch c := instruction.(type) {
		case *instructions.EnvCommand:
			for _, variable := range c.Env {
				i.environment = append(i.environment, variable.Key+"="+variable.Value)
			}
		case *instructions.UserCommand:
			i.user = c.User
		case *instructions.EntrypointCommand:
			i.entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			i.command = c.CmdLine
		case *instructions.HealthCheckCommand:
			i.health = c.Health.Test
		case *instructions.CopyCommand:
			if c.DestPath == "/data" {
				i.owner = c.Chown
			}
		case *instructions.ExposeCommand:
			i.ports = c.Ports
		case *instructions.VolumeCommand:
			i.data = c.Volumes[0]
		}
	}
	return i
}

func stages(t *testing.T) []instructions.Stage {
	t.Helper()
	stages, err := parseDockerfile()
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

func parseDockerfile() ([]instructions.Stage, error) {
	content, err := os.ReadFile(dockerfile)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	return stages, err
}

// buildCommand returns the shell command that builds the program.
func buildCommand() (string, error) {
	stages, err := parseDockerfile()
	if err != nil {
		return "", err
	}
	for _, instruction := range stages[0].Commands {
		command, ok := instruction.(*instructions.RunCommand)
		if ok && strings.Contains(strings.Join(command.CmdLine, " "), "go build") {
			return strings.Join(command.CmdLine, " "), nil
		}
	}
	return "", fmt.Errorf("%s has no RUN with go build", dockerfile)
}

// The image listens on every address, so the settings that the server then requires must be the
// only ones that are missing.
func TestImageSettings(t *testing.T) {
	environment := readImage(t).environment
	checkConfig(t, append(slices.Clone(environment), "SESAME_PUBLIC_URL=http://localhost:8080"))
	output, err := sesame(t, environment, "config", "--check")
	if err == nil || !strings.Contains(output, "SESAME_PUBLIC_URL") {
		t.Errorf("without SESAME_PUBLIC_URL: %v, want an error that names it\n%s", err, output)
	}
}

// A new volume belongs to the user of the server, who is not root.
func TestImageUser(t *testing.T) {
	image := readImage(t)
	if image.user != "65532:65532" || image.owner != image.user || image.data != "/data" {
		t.Errorf("the user is %s, and the folder %s belongs to %s", image.user, image.data, image.owner)
	}
}
