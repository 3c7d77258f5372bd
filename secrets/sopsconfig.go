package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

const sopsConfigName = ".sops.yaml"

// creationRule is a rule of .sops.yaml for files that are made: for whom, and what
// is encrypted. Rules with keys other than age are left to the sops program.
type creationRule struct {
	PathRegex         string    `yaml:"path_regex"`
	Age               yaml.Node `yaml:"age"` // string with commas, or list
	KeyGroups         []any     `yaml:"key_groups"`
	UnencryptedSuffix string    `yaml:"unencrypted_suffix"`
	EncryptedSuffix   string    `yaml:"encrypted_suffix"`
	UnencryptedRegex  string    `yaml:"unencrypted_regex"`
	EncryptedRegex    string    `yaml:"encrypted_regex"`
	MACOnlyEncrypted  bool      `yaml:"mac_only_encrypted"`
	Others            struct {
		KMS       any `yaml:"kms"`
		PGP       any `yaml:"pgp"`
		GCP       any `yaml:"gcp_kms"`
		Azure     any `yaml:"azure_keyvault"`
		Vault     any `yaml:"hc_vault_transit_uri"`
		Huawei    any `yaml:"hckms"`
		CommentE  any `yaml:"encrypted_comment_regex"`
		CommentUn any `yaml:"unencrypted_comment_regex"`
	} `yaml:",inline"`
}

// findRule looks for .sops.yaml from the folder of file upwards, and in it for the
// first rule whose path_regex matches. config is "" where there is none; rule is
// nil where none matches.
func findRule(file string) (config string, rule *creationRule, err error) {
	var data []byte
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		config = filepath.Join(dir, sopsConfigName)
		data, err = os.ReadFile(config)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return config, nil, err
		}
		if dir == filepath.Dir(dir) {
			return "", nil, nil
		}
	}
	var parsed struct {
		CreationRules []creationRule `yaml:"creation_rules"`
	}
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return config, nil, fmt.Errorf("%s: %w", config, err)
	}
	path, err := filepath.Rel(filepath.Dir(config), file)
	if err != nil {
		return config, nil, err
	}
	for _, r := range parsed.CreationRules {
		re, err := regexp.Compile(r.PathRegex)
		if err != nil {
			return config, nil, fmt.Errorf("%s: path_regex: %w", config, err)
		}
		if re.MatchString(path) {
			return config, &r, nil
		}
	}
	return config, nil, nil
}

// needsSops reports whether only the sops program can make a file by this rule.
func (r *creationRule) needsSops() bool {
	o := r.Others
	return len(r.KeyGroups) > 0 ||
		slices.ContainsFunc([]any{o.KMS, o.PGP, o.GCP, o.Azure, o.Vault, o.Huawei, o.CommentE, o.CommentUn}, func(v any) bool { return v != nil && v != "" })
}

// recipients returns the rule's age recipients.
func (r *creationRule) recipients() ([]string, error) {
	var list []string
	switch r.Age.Kind {
	case 0:
		return nil, nil
	case yaml.ScalarNode:
		list = strings.Split(r.Age.Value, ",")
	default:
		if err := r.Age.Decode(&list); err != nil {
			return nil, err
		}
	}
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" }), nil
}

// rule returns what is encrypted under the rule.
func (r *creationRule) rule() (kind, text string, err error) {
	kind, text = unencryptedSuffix, "_unencrypted"
	found := 0
	for _, c := range []struct{ kind, text string }{
		{unencryptedSuffix, r.UnencryptedSuffix}, {encryptedSuffix, r.EncryptedSuffix},
		{unencryptedRegex, r.UnencryptedRegex}, {encryptedRegex, r.EncryptedRegex},
	} {
		if c.text != "" {
			kind, text = c.kind, c.text
			found++
		}
	}
	if found > 1 {
		return "", "", errors.New("a creation rule has more than one rule for what is encrypted")
	}
	return kind, text, nil
}

// newSopsConfig is the .sops.yaml that makes `sops` and latchgate agree on who can
// read file.
func newSopsConfig(file string, recipients []string) []byte {
	return fmt.Appendf(nil, `# For whom sops encrypts new files. After a change: sops updatekeys %s
creation_rules:
  - path_regex: (^|/)%s$
    age: %s
`, filepath.Base(file), regexp.QuoteMeta(filepath.Base(file)), strings.Join(recipients, ","))
}
