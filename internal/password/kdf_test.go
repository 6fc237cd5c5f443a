package password

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// Hashes of one password from Python's passlib and hashlib are verified. The salts have the
// characters in which the two base64 alphabets differ.
func TestVerifyScryptAndPBKDF2(t *testing.T) {
	for _, hash := range []string{
		"$pbkdf2-sha256$1000$eO89p3TuXQuhtJZSynnvnQ$K3UzUd2J5BmiIqkF2HFQJ8MsWwsej1yAQ9veaCTIsG4",
		"$pbkdf2-sha512$1000$kHJOae09Z8w5h7A2BmCslQ$" +
			"a84VdQG4OomQop41Xomu2X.cCfkMpxyRk4nDWB4RTnT4mxGwBKvd.GClYZC//mOdphYJ9n.7HV/Bh7HQNvY.7Q",
		"$pbkdf2-sha256$10$....////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY",
		"$pbkdf2-sha256$i=10$++++////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY",
		"$pbkdf2-sha256$i=10,l=20$++++////AQIDBA$Mrt8B40lu1Qy/8xJjg8VQgvQNCI",
		"$pbkdf2-sha512$i=10,l=64$++++////AQIDBA$" +
			"PyS8+Rp06nxGs9KVFJPvSXyFF9xiBVvaXteWK/t3Xg+AhOe3YQMzEd1amFLT4BN8FrKAzBtZDYkbC4++UO8P/A",
		"$scrypt$ln=8,r=8,p=1$ak2JEWJM6R3j3Nsb43zvnQ$nok2l9PGw/ghsO1/yEDeCf96yCXrNSu8SAtTytS5BoE",
		"$scrypt$ln=4,r=1,p=3$++++////AQIDBA$" +
			"Xy6zNIOBRjVSAxgihFIZBNJi0XamrQGGdyXF60X/uBKbWVFXoAQJvTan4L3bkJPxJpkMmeZv60rsv2X2Ji9m3g",
	} {
		attempts := map[string]bool{"correct horse": true, "correct horse ": false, "": false, "\a": false}
		for attempt, want := range attempts {
			if got, err := hasher.Verify(t.Context(), attempt, hash); got != want || err != nil {
				t.Errorf("%q for %s: %v, %v", attempt, hash, got, err)
			}
		}
		if !hasher.Outdated(hash) {
			t.Errorf("%s is not outdated", hash)
		}
	}
}

// The vectors of RFC 7914, sections 11 (PBKDF2) and 12 (scrypt). Verify would refuse their salts as
// too short.
func TestVectorsOfRFC7914(t *testing.T) {
	sum := func(text string) []byte {
		decoded, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	for _, vector := range []struct {
		password string
		hash     storedHash
	}{
		{"passwd", pbkdf2Hash{pbkdf2SHA256, 1, []byte("salt"), sum("55ac046e56e3089fec1691c22544b605" +
			"f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783")}},
		{"password", scryptHash{10, 8, 16, []byte("NaCl"), sum("fdbabe1c9d3472007856e7190d01e9fe" +
			"7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640")}},
		{"pleaseletmein", scryptHash{14, 8, 1, []byte("SodiumChloride"), sum("7023bdcb3afd7348461c06cd81fd38eb" +
			"fda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887")}},
	} {
		if !vector.hash.matches(vector.password) || vector.hash.matches(vector.password+"x") {
			t.Errorf("%+v", vector.hash)
		}
	}
}

// A hash that is too expensive, or malformed, is refused before anything is allocated for it.
func TestScryptAndPBKDF2AreBounded(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY"
	const rest = "$" + salt + "$" + sum
	long := strings.Repeat("c29t", 30)
	for _, hash := range []string{
		"$scrypt$ln=18,r=8,p=1" + rest, "$scrypt$ln=17,r=8,p=2" + rest,
		"$scrypt$ln=16,r=8,p=3" + rest, "$scrypt$ln=21,r=1,p=1" + rest,
		"$scrypt$ln=0,r=8,p=1" + rest, "$scrypt$ln=-1,r=8,p=1" + rest,
		"$scrypt$ln=64,r=8,p=1" + rest, "$scrypt$ln=4,r=0,p=1" + rest,
		"$scrypt$ln=4,r=33,p=1" + rest, "$scrypt$ln=4,r=1,p=0" + rest,
		"$scrypt$ln=4,r=1,p=17" + rest, "$scrypt$ln=4,r=-8,p=-1" + rest,
		"$scrypt$ln=04,r=8,p=1" + rest, "$scrypt$ln=4,r=8,p=1,x=1" + rest,
		"$scrypt$n=16,r=8,p=1" + rest, "$scrypt$ln=4,r=8" + rest,
		"$scrypt$ln=4,r=9223372036854775807,p=1" + rest,
		"$scrypt$ln=4,r=8,p=1$" + salt, "$scrypt$" + rest,
		"$scrypt$ln=4,r=8,p=1" + rest + "$",
		"$scrypt$ln=4,r=8,p=1$c29t$" + sum, "$scrypt$ln=4,r=8,p=1$" + salt + "$c29t",
		"$scrypt$ln=4,r=8,p=1$" + long + "$" + sum, "$scrypt$ln=4,r=8,p=1$" + salt + "$" + long,
		"$scrypt$ln=4,r=8,p=1$" + salt + "=$" + sum, "$scrypt$ln=4,r=8,p=1$c29tZXNhbHR$" + sum,
		"$scrypt$ln=4,r=8,p=1$\nc29tZXNhbHQ$" + sum,

		"$pbkdf2-sha256$2000001" + rest, "$pbkdf2-sha512$i=1000001" + rest,
		"$pbkdf2-sha256$0" + rest, "$pbkdf2-sha256$-1" + rest,
		"$pbkdf2-sha256$i=0" + rest, "$pbkdf2-sha256$i=" + rest,
		"$pbkdf2-sha256$010" + rest, "$pbkdf2-sha256$+10" + rest,
		"$pbkdf2-sha256$99999999999999999999" + rest,
		"$pbkdf2-sha256$i=10,l=31" + rest, "$pbkdf2-sha256$i=10,l=032" + rest,
		"$pbkdf2-sha256$i=10,l=" + rest, "$pbkdf2-sha256$10,l=32" + rest,
		"$pbkdf2-sha256$i=10,x=1" + rest, "$pbkdf2-sha1$i=10" + rest,
		"$pbkdf2$i=10" + rest, "$pbkdf2-sha256$i=10$" + salt,
		"$pbkdf2-sha256$i=10$" + salt + "$" + strings.ReplaceAll(sum, "/", "."),
		"$pbkdf2-sha256$10$" + salt + "$" + strings.ReplaceAll(sum, "/", "+"),
		"$pbkdf2-sha256$i=10$c29t$" + sum, "$pbkdf2-sha256$i=10$" + salt + "$" + long,
		"$pbkdf2-sha256$i=10$" + long + "$" + sum, "$pbkdf2-sha256$i=10" + rest + "\n",

		"$argon2id$v=19$m=64,t=1,p=1$c29t\nZXNhbHQ$" + sum, "$2a$" + strings.Repeat("0", maxHashLength),
		"{SSHA}c29tZXNhbHQ", "$5$c29tZXNhbHQ$", "$y$j9T$",
	} {
		allocated := testing.AllocsPerRun(1, func() {
			if matches, err := hasher.Verify(t.Context(), "password", hash); matches || !errors.Is(err, ErrHash) {
				t.Errorf("%q: %v, %v", hash, matches, err)
			}
		})
		if err := CheckHash(hash); allocated > 100 || !errors.Is(err, ErrHash) || strings.Contains(err.Error(), salt) {
			t.Errorf("%q: %v allocations, %v", hash, allocated, err)
		}
	}
	for _, hash := range []string{ // the most expensive ones within bounds
		"$scrypt$ln=17,r=8,p=1" + rest, "$scrypt$ln=16,r=16,p=1" + rest,
		"$scrypt$ln=13,r=8,p=16" + rest, "$scrypt$ln=20,r=1,p=1" + rest,
		"$pbkdf2-sha512$i=1000000" + rest, "$pbkdf2-sha256$2000000" + rest,
	} {
		if err := CheckHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

// BenchmarkMostExpensive verifies the most expensive hash within bounds, for each algorithm.
func BenchmarkMostExpensive(b *testing.B) {
	const rest = "$c29tZXNhbHQ$Mrt8B40lu1Qy/8xJjg8VQgvQNCJUJsVISlbJQexDLTY"
	for _, hash := range []string{
		"$scrypt$ln=17,r=8,p=1" + rest, "$scrypt$ln=20,r=1,p=1" + rest,
		"$pbkdf2-sha256$i=2000000" + rest, "$pbkdf2-sha512$i=1000000" + rest,
		"$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$argon2id$v=19$m=65536,t=10,p=1" + rest,
	} {
		b.Run(strings.SplitN(hash, "$", 4)[1], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := hasher.Verify(b.Context(), "password", hash); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
