// Release builds what a release has, into a directory: static binaries and an archive for each
// platform, a software bill of materials (CycloneDX) for each binary, the packages for npm and
// Python, and the checksums of all. Two runs on one commit give the same bytes, in any directory.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/fxcast/fxcast"
)

func main() {
	out := flag.String("out", "dist", "directory for the files; must be empty or new")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "comma list of `GOOS/GOARCH`")
	flag.Parse()
	if err := run(*out, strings.Split(*platforms, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is what is built, from the tree in the working directory.
type release struct {
	out     string    // directory, absolute
	version string    // without v
	date    time.Time // of the commit: the time of all files
	work    string    // directory that ends with the run
}

func run(out string, platforms []string) error {
	r, err := begin(out)
	if err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	completions, err := r.completions()
	if err != nil {
		return err
	}
	for _, platform := range platforms {
		if err := r.platform(platform, completions); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	if err := errors.Join(r.npm(), r.wheel()); err != nil {
		return err
	}
	return r.checksums()
}

func begin(out string) (*release, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	if found, err := os.ReadDir(out); err == nil && len(found) > 0 {
		return nil, fmt.Errorf("%s is not empty; remove it, or choose another directory with -out", out)
	}
	if err := os.MkdirAll(filepath.Join(out, "bin"), 0o755); err != nil {
		return nil, err
	}
	date, err := output("git", "log", "-1", "--format=%cI")
	if err != nil {
		return nil, err
	}
	r := &release{out: out, version: fxcast.Version()}
	if r.date, err = time.Parse(time.RFC3339, date); err != nil {
		return nil, err
	}
	if changed, err := output("git", "status", "--porcelain"); err != nil {
		return nil, err
	} else if changed != "" {
		fmt.Fprintln(os.Stderr, "release: there are uncommitted changes; the binaries name themselves modified:\n"+changed)
	}
	r.work, err = os.MkdirTemp("", "release")
	return r, err
}

// platform builds the binary of a platform, its bill of materials and its archive.
func (r *release) platform(platform string, completions []file) error {
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return errors.New("want GOOS/GOARCH")
	}
	binary := filepath.Join(r.out, "bin", "broadcaster-"+system+"-"+arch)
	if err := r.build(binary, "GOOS="+system, "GOARCH="+arch); err != nil {
		return err
	}
	name := fmt.Sprintf("fxcast-%s-%s-%s", r.version, system, arch)
	if err := command(nil, "go", "tool", "-modfile=tools.mod", "cyclonedx-gomod", "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-version", "v"+r.version, "-output", filepath.Join(r.out, name+".cdx.json"), binary); err != nil {
		return err
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	files, err := tracked("LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "redis.conf", "docs", "deploy")
	if err != nil {
		return err
	}
	files = append(append(files, completions...), file{"broadcaster", 0o755, program})
	return writeArchive(filepath.Join(r.out, name+".tar.gz"), name, r.date, files)
}

// build builds the program with its commit, and without anything of this machine: neither paths nor
// a C library.
func (r *release) build(path string, environ ...string) error {
	return command(append(environ, "CGO_ENABLED=0"), "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", path, "./cmd/broadcaster")
}

// completions returns the completions of the program for each shell.
func (r *release) completions() (files []file, err error) {
	program := filepath.Join(r.work, "broadcaster")
	if err := r.build(program, "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH); err != nil {
		return nil, err
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := exec.Command(program, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", shell, err)
		}
		files = append(files, file{"completions/broadcaster." + shell, 0o644, text})
	}
	return files, nil
}

// npm packs the JavaScript client from a copy. Its packages of development must be installed.
func (r *release) npm() error {
	source, err := r.copied("clients/js")
	if err != nil {
		return err
	}
	installed, err := filepath.Abs("clients/js/node_modules")
	if err != nil {
		return err
	}
	if _, err := os.Stat(installed); err != nil {
		return fmt.Errorf("%w; run: npm --prefix clients/js ci", err)
	}
	if err := os.Symlink(installed, filepath.Join(source, "node_modules")); err != nil {
		return err
	}
	return command(nil, "npm", "pack", "--silent", "--pack-destination", r.out, source)
}

// wheel builds the Python client from a copy. It needs build, setuptools and wheel of the system's
// Python.
func (r *release) wheel() error {
	source, err := r.copied("clients/python")
	if err != nil {
		return err
	}
	return command([]string{fmt.Sprint("SOURCE_DATE_EPOCH=", r.date.Unix())}, "/usr/bin/python3", "-m", "build", "--wheel", "--no-isolation",
		"--outdir", r.out, source)
}

// copied returns a copy of a directory of the repository, in which a build may leave files.
func (r *release) copied(dir string) (path string, err error) {
	files, err := tracked(dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(r.work, filepath.FromSlash(dir)), writeFiles(r.work, files)
}

// command runs a program with further variables; what it prints is the error if it fails.
func command(environ []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// output returns what a program prints.
func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
