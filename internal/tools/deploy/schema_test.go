package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kubernetesVersions are the oldest version that the chart supports, and the newest whose OpenAPI
// documents there are.
var kubernetesVersions = []string{"1.27", "1.30"}

// checkSchema checks an object against the OpenAPI documents of Kubernetes. Other than the Go types,
// they say which fields are required.
func checkSchema(t *testing.T, manifest string) {
	t.Helper()
	var meta metav1.TypeMeta
	must(t, yaml.Unmarshal([]byte(manifest), &meta))
	group, version, _ := strings.Cut(meta.APIVersion, "/")
	if strings.Contains(group, "monitoring.coreos.com") {
		return // not a part of Kubernetes
	}
	folder := filepath.Join("apis", group)
	if version == "" {
		folder, group, version = "api", "", group
	}
	content, err := yaml.YAMLToJSON([]byte(manifest))
	must(t, err)
	object, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	must(t, err)
	for _, kubernetes := range kubernetesVersions {
		file := filepath.Join(documents(), kubernetes, folder, version+".json")
		if err := schema(t, file, group, version, meta.Kind).Validate(object); err != nil {
			t.Errorf("Kubernetes %s: %v\n%s", kubernetes, err, manifest)
		}
	}
}

// documents returns the folder with the OpenAPI documents of each version.
var documents = sync.OnceValue(func() string {
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kubectl-validate").Output()
	if err != nil {
		panic(err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "pkg/openapiclient/builtins")
})

// A document is an OpenAPI document of Kubernetes, with the names of the schemas of its objects.
type document struct {
	compiler *jsonschema.Compiler
	schemas  map[string]string // by group, version and kind
}

var readDocuments = make(map[string]document) // by file

// schema returns the schema of a kind of object.
func schema(t *testing.T, file, group, version, kind string) *jsonschema.Schema {
	t.Helper()
	if _, ok := readDocuments[file]; !ok {
		readDocuments[file] = readDocument(t, file)
	}
	name, ok := readDocuments[file].schemas[path.Join(group, version, kind)]
	if !ok {
		t.Fatalf("%s has no %s", file, kind)
	}
	compiled, err := readDocuments[file].compiler.Compile("file://" + file + "#/components/schemas/" + name)
	must(t, err)
	return compiled
}

func readDocument(t *testing.T, file string) document {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	must(t, err)
	forbidUnknownFields(parsed)
	d := document{jsonschema.NewCompiler(), make(map[string]string)}
	d.compiler.DefaultDraft(jsonschema.Draft4) // of OpenAPI 3.0
	must(t, d.compiler.AddResource("file://"+file, parsed))

	var index struct {
		Components struct {
			Schemas map[string]struct {
				Kinds []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
			}
		}
	}
	must(t, json.Unmarshal(content, &index))
	for name, schema := range index.Components.Schemas {
		if len(schema.Kinds) == 1 { // others, such as DeleteOptions, are no objects
			d.schemas[path.Join(schema.Kinds[0].Group, schema.Kinds[0].Version, schema.Kinds[0].Kind)] = name
		}
	}
	return d
}

// forbidUnknownFields closes every object whose properties are known.
func forbidUnknownFields(value any) {
	switch value := value.(type) {
	case map[string]any:
		if _, known := value["properties"].(map[string]any); known && value["additionalProperties"] == nil {
			value["additionalProperties"] = false
		}
		for _, child := range value {
			forbidUnknownFields(child)
		}
	case []any:
		for _, child := range value {
			forbidUnknownFields(child)
		}
	}
}
