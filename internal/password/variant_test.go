package password

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestVariantsAreRefused(t *testing.T) {
	for rule, passwords := range map[string][]string{
		"digits and symbols added at the end": {
			"Password1!", "qwerty2024", "Summer2025!", "dragon1987", "monkey!!", "football99", "abc123!!",
			"Welcome@2024!", "bank2024!", "tasmania123456",
		},
		"digits and symbols added in front": {"123iloveyou", "!!dragon", "2024-summer", "!tasmania#2024"},
		"letters substituted": {
			"Adm1nistrator", "D1ct10nary", "dict|onary", "$uperm4n", "7rustno1", "f0o7b@l1", "f00tba!l",
		},
		"substituted and added":   {"P@ssw0rd123", "P@ssw0rd2024!", "S3cur1ty!", "ｐ４ｓｓｗｏｒｄ９９"},
		"letters added to digits": {"12345678!", "qpw112233", "x7777777x", "123456äö"},
		"reversed":                {"1drowssap", "nogardkcalb", "drow$s4p"},
		"repeated": {
			"dragondragon", "Dr4g0nDr4g0n", "passwordpasswordpass", "monkeymonkey12", "12341234", "winterwinterwinter",
		},
		"up to three code points repeated": {
			"abcabcabc", "aaaaaaaaaaaa", "        ", "zzzzzz99", "密码密码密码密码", "🐎🔋📎🐎🔋📎🐎🔋",
			strings.Repeat("é", MaxLength),
		},
	} {
		for _, password := range passwords {
			if _, err := policy.Accept(password); !errors.Is(err, ErrCommonVariant) {
				t.Errorf("%s: %q: %v", rule, password, err)
			}
		}
	}
	for _, listed := range []string{"passw0rd", "letmein1", "passwordpassword"} {
		if _, err := policy.Accept(listed); !errors.Is(err, ErrCommon) {
			t.Errorf("%q: %v", listed, err)
		}
	}
}

func TestGoodPasswordsAreAccepted(t *testing.T) {
	for _, password := range []string{
		// just outside the limits of a rule
		"tasmania1234567", "1234tasmania567", "bank20245!", "112233qpwz", "7e571983", "tasmaniatasm",
		"78364521", "11223397", "83715926!?", "dragonmonkey", "dragonx12", "x8372951", "f4c31d07",
		"a1c2e3g4i5k6", "dragon dragon", "qwhzkqwhzk", "dragonä1987",
		// what people are advised to choose
		"correct horse battery staple", "correcthorsebatterystaple", "the dragon sleeps", "letmein please",
		"my password is long", "xK9#mQ2v", "q7Rt+0Zp", "tL4/WcVx9w", "Ermintrude1944", "Björn1987",
		"søndagsmorgen", "Frühling2024", "Αθήνα2024", "пароль хорош", "我家的猫很喜欢吃鱼",
		"🐎🔋📎🧷🐎🔋🧷📎", "3.14159265358979", "2026-11-23 10:00",
	} {
		if _, err := policy.Accept(password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// Random characters and random words are accepted. The seed is fixed.
func TestRandomPasswordsAreAccepted(t *testing.T) {
	const each = 5000
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyz"
	alphabets := []string{
		letters, letters + "234567", letters + "0123456789",
		letters + strings.ToUpper(letters) + "0123456789+/",
		letters + strings.ToUpper(letters) + "0123456789!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
		"abcčdefghiíjklmnňoóprřsštťuúůvyýzž0123456789",
		"абвгдежзийклмнопрстуфхцчшщъыьэюя",
	}
	list := strings.Fields(common)
	for i := range each {
		alphabet := []rune(alphabets[i%len(alphabets)])
		password := make([]rune, 10+random.IntN(11))
		for at := range password {
			password[at] = alphabet[random.IntN(len(alphabet))]
		}
		words := make([]string, 4)
		for at := range words {
			words[at] = list[random.IntN(len(list))]
		}
		for _, good := range []string{string(password), strings.Join(words, []string{" ", "-", ""}[i%3])} {
			if _, err := policy.Accept(good); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
	}
}

// The rules are effective: if a tenth of the list is removed, most of the removed passwords that
// mix letters with other characters are recognized as variants of the remaining ones.
func TestVariantsOfAReducedList(t *testing.T) {
	original := common
	t.Cleanup(func() { common = original })
	var rest, mixed []string
	for i, entry := range strings.Fields(original) {
		if i%10 != 0 || len(entry) < MinLength {
			rest = append(rest, entry)
		} else if letters, digits := count(entry); letters < len(entry) && digits < len(entry) {
			mixed = append(mixed, entry)
		}
	}
	common = strings.Join(rest, "\n") + "\n"
	missed := slices.DeleteFunc(slices.Clone(mixed), isVariant)
	if len(mixed) < 400 || len(missed)*5 > len(mixed) {
		t.Errorf("%d of %d are missed: %q", len(missed), len(mixed), missed)
	}
}

func FuzzAccept(f *testing.F) {
	for _, password := range []string{
		"P@ssw0rd2024!", "correct horse battery staple", "😀😀😀😀1234", strings.Repeat("\ufdfa", 8), "\xff",
		strings.Repeat("1", 128),
	} {
		f.Add(password, "Ada Lovelace")
	}
	f.Fuzz(func(t *testing.T, password, name string) {
		accepted, err := policy.Accept(password, name)
		again, err2 := policy.Accept(password, name)
		if accepted != again || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("%v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		if _, err := policy.Accept(accepted.prepared, name); err != nil {
			t.Errorf("its prepared form: %v", err)
		}
		if prepared, err := prepare(accepted.prepared); err != nil || prepared != accepted.prepared {
			t.Errorf("prepared twice: %q, %v", prepared, err)
		}
		if isEntry(Canonical(Fold(accepted.prepared))) {
			t.Error("an entry with substituted letters was accepted")
		}
	})
}

// Even the most expensive passwords to check cause little work.
func TestWorkIsBounded(t *testing.T) {
	for _, password := range []string{
		strings.Repeat("\ufdfa", MaxLength), // folds to the longest text
		"1" + strings.Repeat("!?", 63) + "1",
		strings.Repeat("!", 3) + strings.Repeat("ab", 60) + "c???",
		"123" + strings.Repeat("password", 15) + "xy456",
	} {
		if allocated := testing.AllocsPerRun(3, func() { _, _ = policy.Accept(password) }); allocated > 5000 {
			t.Errorf("%q: %v allocations", password, allocated)
		}
	}
}
