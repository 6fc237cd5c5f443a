package conformance

import "net/http"

const (
	jwksPath     = "/.well-known/jwks.json"
	metadataPath = "/.well-known/oauth-authorization-server"
)

var (
	getJWKSChecks                        = []check{{operation: "getJWKS", name: "keys", run: checkKeys}}
	getAuthorizationServerMetadataChecks = []check{
		{operation: "getAuthorizationServerMetadata", name: "URL of the keys", run: checkMetadata},
	}
	getOpenIDConfigurationChecks = []check{
		{operation: "getOpenIDConfiguration", name: "success", run: func(s *suite) { s.openIDConfiguration() }},
		{operation: "getOpenIDConfiguration", name: "same metadata", run: checkSameMetadata},
	}
)

// checkKeys requires a key. The schema of a key does not allow private keys.
func checkKeys(s *suite) {
	list, _ := s.expect(http.StatusOK, get(jwksPath)).body["keys"].([]any)
	s.require(len(list) > 0, "there must be a key")
}

func checkMetadata(s *suite) {
	r := s.expect(http.StatusOK, get(metadataPath))
	s.require(r.text("jwks_uri") == r.text("issuer")+jwksPath, "jwks_uri must be below the issuer")
}

func (s *suite) openIDConfiguration() response {
	return s.expect(http.StatusOK, get("/.well-known/openid-configuration"))
}

func checkSameMetadata(s *suite) {
	metadata := s.expect(http.StatusOK, get(metadataPath))
	s.require(string(s.openIDConfiguration().raw) == string(metadata.raw), "both metadata documents must be the same")
}
