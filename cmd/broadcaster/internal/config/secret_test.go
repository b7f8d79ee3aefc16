package config

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	c := mustLoad(t,
		"REDIS_URL_FILE="+file("url", "redis://:pw@h:1/2\n"),
		"REDIS_PASSWORD_FILE="+file("pw", " a b \r\n"),
		"ADMIN_TOKEN_FILE="+file("admin", longToken),
		"PUBLISH_TOKEN_FILE="+file("publish", "desk:"+longToken+"\n"))
	if c.Embedded() || c.Redis.URL != "redis://:pw@h:1/2" || c.Redis.Password != " a b " ||
		!slices.Equal(c.HTTP.AdminTokens, AdminTokens{longToken}) || !slices.Equal(c.HTTP.PublishTokens, PublishTokens{{"desk", longToken}}) {
		t.Errorf("read from files: %+v %+v", c.Redis, c.HTTP)
	}
	for _, tc := range []struct {
		environ []string
		want    []string
	}{
		{[]string{"ADMIN_TOKEN=" + longToken, "ADMIN_TOKEN_FILE=" + file("b", longToken)}, []string{"ADMIN_TOKEN_FILE", "only one"}},
		{[]string{"ADMIN_TOKEN_FILE=" + filepath.Join(dir, "none")}, []string{"ADMIN_TOKEN_FILE", "none", "no such file"}},
		{[]string{"ADMIN_TOKEN_FILE=" + dir}, []string{"ADMIN_TOKEN_FILE", "cannot be read"}},
		{[]string{"REDIS_PASSWORD_FILE=" + file("empty", "\n")}, []string{"REDIS_PASSWORD_FILE", "empty"}},
		{[]string{"REDIS_PASSWORD_FILE=" + file("two", "s3cret\ns3cret\n")}, []string{"REDIS_PASSWORD_FILE", "one line"}},
		{[]string{"ADMIN_TOKEN_FILE=" + file("short", "s3cret\n")}, []string{"ADMIN_TOKEN: want tokens of 24"}},
		{[]string{"REDIS_URL_FILE=" + file("badurl", "http://:s3cret@h\n")}, []string{"REDIS_URL: unknown kind"}},
	} {
		_, err := Load(tc.environ)
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 {
			t.Errorf("%q: %q, want one fault", tc.environ, faults)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(faults[0], w) || strings.Contains(faults[0], "s3cret") {
				t.Errorf("%q: %q, want %q in it and no secret", tc.environ, faults[0], w)
			}
		}
	}
}
