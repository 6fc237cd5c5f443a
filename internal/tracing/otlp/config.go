package otlp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/net/http/httpguts"
)

// The exporters that a Config can have.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterNone    = "none"
)

// defaultEndpoint is that of a collector on this machine.
const defaultEndpoint = "http://localhost:4318"

// Config says whether and where spans are exported. The zero value means that there are no traces.
type Config struct {
	ToConsole bool      // Console receives the spans, a line for each, and not Endpoint
	Console   io.Writer // required with ToConsole
	Endpoint  string    // the URL of an OTLP receiver for traces; empty: none

	headers http.Header
	timeout time.Duration // of one request
	gzip    bool
	tls     *tls.Config

	sampler  sdktrace.Sampler
	batches  []sdktrace.BatchSpanProcessorOption
	resource []attribute.KeyValue
}

// IsOff reports whether there are no traces.
func (c Config) IsOff() bool { return !c.ToConsole && c.Endpoint == "" }

// ParseConfig reads the variables of the OpenTelemetry specification that say whether and where
// traces are exported. get returns a variable, or "" if it is not set. It returns all errors. If
// traces are off, it reads no others.
func ParseConfig(get func(name string) string) (Config, []error) {
	p := parser{get: get}
	exporter := strings.TrimSpace(get("OTEL_TRACES_EXPORTER"))
	if exporter == "" && p.otlp("ENDPOINT").value != "" {
		exporter = exporterOTLP
	}
	if exporter == "" || exporter == exporterNone || strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return Config{}, nil
	}
	var config Config
	switch exporter {
	case exporterConsole:
		config.ToConsole = true
	case exporterOTLP:
		config = p.exporter()
	default:
		p.fail("OTEL_TRACES_EXPORTER", errors.New("must be otlp, console or none"))
	}
	config.sampler, config.batches, config.resource = p.sampler(), p.batches(), p.resource()
	return config, p.errs
}

// parser collects the errors of a configuration.
type parser struct {
	get  func(name string) string
	errs []error
}

func (p *parser) fail(name string, err error) {
	p.errs = append(p.errs, fmt.Errorf("%s: %w", name, err))
}

// variable is a variable that is set, or has no name and no value.
type variable struct{ name, value string }

// otlp returns a variable of the OTLP exporter: the one for traces or, if it is not set, the one for
// all signals.
func (p *parser) otlp(suffix string) variable {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + suffix, "OTEL_EXPORTER_OTLP_" + suffix} {
		if value := strings.TrimSpace(p.get(name)); value != "" {
			return variable{name, value}
		}
	}
	return variable{}
}

func (p *parser) exporter() Config {
	c := Config{Endpoint: p.endpoint(), tls: p.tls()}
	if v := p.otlp("PROTOCOL"); v.value != "" && v.value != "http/protobuf" {
		p.fail(v.name, fmt.Errorf("%q is not supported: the protocol must be http/protobuf, "+
			"which collectors receive at port 4318", v.value))
	}
	if v := p.otlp("HEADERS"); v.value != "" {
		var err error
		if c.headers, err = parseHeaders(v.value); err != nil {
			p.fail(v.name, err)
		}
	}
	timeout := p.otlp("TIMEOUT")
	c.timeout = time.Duration(p.number(timeout, 10_000)) * time.Millisecond
	switch v := p.otlp("COMPRESSION"); v.value {
	case "", "none":
	case "gzip":
		c.gzip = true
	default:
		p.fail(v.name, errors.New("must be gzip or none"))
	}
	return c
}

// number returns the value of a variable, which must be a positive number, or the default if it is not
// set.
func (p *parser) number(v variable, fallback int) int {
	if v.value == "" {
		return fallback
	}
	number, err := strconv.ParseInt(v.value, 10, 32)
	if err != nil || number <= 0 {
		p.fail(v.name, errors.New("must be a positive number"))
	}
	return int(number)
}

// parseHeaders parses headers of requests. The error does not quote them, because they are secret.
func parseHeaders(text string) (http.Header, error) {
	headers := make(http.Header)
	for pair := range strings.SplitSeq(text, ",") {
		name, escaped, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(escaped))
		name = strings.TrimSpace(name)
		if !found || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New("must be name=value, separated by commas, with percent-encoded values")
		}
		headers.Set(name, value)
	}
	return headers, nil
}

// endpoint returns the URL that receives the traces: the one for traces as it is or, below the one
// for all signals, v1/traces.
func (p *parser) endpoint() string {
	v := p.otlp("ENDPOINT")
	parsed, err := url.Parse(cmp.Or(v.value, defaultEndpoint))
	switch {
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "":
		// Without the error of Parse, which quotes the URL.
		p.fail(v.name, errors.New("must be an http or https URL, such as http://127.0.0.1:4318"))
		return ""
	case parsed.User != nil:
		p.fail(v.name, errors.New("must not contain credentials; send them with OTEL_EXPORTER_OTLP_HEADERS"))
		return ""
	}
	if v.name != "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" {
		parsed = parsed.JoinPath("v1/traces")
	}
	return parsed.String()
}

// tls returns the certificate authority and the client's certificate, or nil for the defaults.
func (p *parser) tls() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if v := p.otlp("CERTIFICATE"); v.value != "" {
		content, err := os.ReadFile(v.value)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(content) {
			err = errors.New("contains no certificate in PEM format")
		}
		if err != nil {
			p.fail(v.name, err)
		}
	}
	certificate, key := p.otlp("CLIENT_CERTIFICATE"), p.otlp("CLIENT_KEY")
	if certificate.value != "" || key.value != "" {
		pair, err := tls.LoadX509KeyPair(certificate.value, key.value)
		if err != nil {
			p.fail(cmp.Or(certificate.name, key.name), err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
