package deploy

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads a copy of compose.yaml next to which compose-secrets has made the secrets.
func compose(t *testing.T) *types.Project {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "deploy")
	must(t, os.Mkdir(folder, 0o700))
	for _, name := range []string{"compose.yaml", "compose-secrets"} {
		content, err := os.ReadFile(filepath.Join(root, "deploy", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(folder, name), content, 0o700))
	}
	makeSecrets(t, folder)
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "compose.yaml")})
	must(t, err)
	project, err := options.LoadProject(t.Context())
	must(t, err)
	return project
}

func makeSecrets(t *testing.T, folder string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if output, err := exec.CommandContext(ctx, filepath.Join(folder, "compose-secrets")).CombinedOutput(); err != nil {
		t.Fatalf("compose-secrets: %v\n%s", err, output)
	}
}

// The server accepts its environment, with the files of the secrets where the containers have them.
func TestComposeSettings(t *testing.T) {
	project := compose(t)
	service := project.Services["sesame"]
	values := make(map[string]string)
	for _, variable := range readImage(t).environment {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	for name, value := range service.Environment {
		if secret, ok := strings.CutPrefix(*value, "/run/secrets/"); ok {
			if !slices.ContainsFunc(service.Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == secret }) {
				t.Errorf("%s names %s, which is not a secret of the service", name, *value)
			}
			values[name] = project.Secrets[secret].File
			continue
		}
		values[name] = *value
	}
	var environment []string
	for name, value := range values {
		environment = append(environment, name+"="+value)
	}
	checkConfig(t, environment)
}

// Sesame finds the servers that it uses, in a network that both are in.
func TestComposeHosts(t *testing.T) {
	project := compose(t)
	sesame := project.Services["sesame"]
	databaseURL := read(t, project, "database_url")
	for _, raw := range []string{databaseURL, *sesame.Environment["SESAME_SMTP_URL"]} {
		parsed, err := url.Parse(strings.TrimSpace(raw))
		must(t, err)
		service, ok := project.Services[parsed.Hostname()]
		if !ok {
			t.Errorf("there is no service %s", parsed.Hostname())
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(service.Networks)), func(network string) bool {
			_, shared := sesame.Networks[network]
			return shared
		}) {
			t.Errorf("sesame and %s have no network in common", service.Name)
		}
		if on := sesame.DependsOn[service.Name]; on.Condition != types.ServiceConditionHealthy || service.HealthCheck == nil {
			t.Errorf("sesame starts before %s is healthy", service.Name)
		}
	}
	parsed, err := url.Parse(strings.TrimSpace(databaseURL))
	must(t, err)
	password, _ := parsed.User.Password()
	postgres := project.Services["postgres"]
	if user := *postgres.Environment["POSTGRES_USER"]; user != parsed.User.Username() || "/"+user != parsed.Path {
		t.Errorf("the user of PostgreSQL, and the name of its database, is %s", user)
	}
	if password != read(t, project, "database_password") {
		t.Error("the password in the URL of the database is not that of the database")
	}
	if !project.Networks["database"].Internal || len(postgres.Networks) != 1 || len(postgres.Ports) != 0 {
		t.Error("PostgreSQL can be reached from outside its network")
	}
}

// Sesame trusts the certificate of Mailpit for the name that it uses.
func TestComposeCertificate(t *testing.T) {
	project := compose(t)
	content := read(t, project, "mailpit_certificate")
	block, _ := pem.Decode([]byte(content))
	if block == nil {
		t.Fatal("the certificate is not in PEM format")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	if _, err := certificate.Verify(x509.VerifyOptions{DNSName: "mailpit", Roots: roots}); err != nil {
		t.Error(err)
	}
}

// The users in the containers are not those of the machine, so the files can be read by everybody
// who can open the folder.
func TestComposeSecrets(t *testing.T) {
	project := compose(t)
	folder := filepath.Join(project.WorkingDir, "secrets")
	info, err := os.Stat(folder)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the secrets has mode %o", info.Mode().Perm())
	}
	before := make(map[string]string)
	for name, secret := range project.Secrets {
		info, err := os.Stat(secret.File)
		must(t, err)
		if info.Mode().Perm() != 0o444 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
		before[name] = read(t, project, name)
	}
	makeSecrets(t, project.WorkingDir)
	files, err := os.ReadDir(folder)
	must(t, err)
	if len(files) != len(project.Secrets) {
		t.Errorf("the folder contains %v", files)
	}
	for name := range project.Secrets {
		if read(t, project, name) != before[name] {
			t.Errorf("%s is another one after the second run", name)
		}
	}
	ignored := exec.CommandContext(t.Context(), "git", "-C", root, "check-ignore", "deploy/secrets/secret")
	if err := ignored.Run(); err != nil {
		t.Errorf("git does not ignore deploy/secrets: %v", err)
	}
}

func TestComposeIsHardened(t *testing.T) {
	for name, service := range compose(t).Services {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) != 0 ||
			!slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) || service.Privileged {
			t.Errorf("%s has a writable file system or privileges", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("port %s of %s can be reached from other machines", port.Published, name)
			}
		}
		if image := service.Image; image != "" && (!strings.Contains(image, ":") || strings.HasSuffix(image, ":latest")) {
			t.Errorf("%s has no version", image)
		}
		if name == "sesame" && time.Duration(*service.StopGracePeriod) < gracePeriod {
			t.Errorf("sesame is killed after %s", *service.StopGracePeriod)
		}
	}
}

// gracePeriod is how long a server may take to end: SESAME_DRAIN_DELAY, and 30 seconds.
const gracePeriod = 35 * time.Second

// read returns the content of a secret.
func read(t *testing.T, project *types.Project, name string) string {
	t.Helper()
	content, err := os.ReadFile(project.Secrets[name].File)
	must(t, err)
	return string(content)
}
