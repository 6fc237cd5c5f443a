//go:build tools

package deploy

// The module of this package contains the OpenAPI documents of Kubernetes, which the tests read.
import _ "sigs.k8s.io/kubectl-validate/pkg/openapiclient/groupversion"
