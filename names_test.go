package fxcast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// repository is what the documents may name.
type repository struct {
	paths   map[string]bool            // files and directories
	names   map[string]map[string]bool // by package directory: "Hub", "Hub.Run" and "Hub.mu"
	tests   map[string][]string        // package directories by name of a test, fuzz test or benchmark
	locks   map[string]bool            // "hub.Hub.mu": mutexes in structs, but of tests and tools
	words   map[string]bool            // of the code and the Makefile: identifiers, and words in strings
	targets map[string]bool            // of the Makefile
}

var scanned = sync.OnceValues(scanRepository)

// scan returns the index of the repository.
func scan(t *testing.T) *repository {
	t.Helper()
	r, err := scanned()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scanRepository() (*repository, error) {
	r := &repository{
		paths: map[string]bool{}, names: map[string]map[string]bool{}, tests: map[string][]string{},
		locks: map[string]bool{}, words: map[string]bool{}, targets: map[string]bool{},
	}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		file = filepath.ToSlash(file)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		}
		r.paths[file] = true
		if d.IsDir() || path.Ext(file) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.addFile(path.Dir(file), parsed)
		if dir := path.Dir(file); !strings.HasSuffix(file, "_test.go") && !isTool(dir) && !within(dir, apart) && dir != "cmd/loadgen" {
			r.addLocks(path.Base(dir), parsed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	makefile, err := os.ReadFile("Makefile")
	r.addWords(string(makefile))
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		r.targets[m[1]] = true
	}
	return r, err
}

func (r *repository) addFile(dir string, file *ast.File) {
	if r.names[dir] == nil {
		r.names[dir] = map[string]bool{}
	}
	names := r.names[dir]
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
			if isTest.MatchString(name) {
				r.tests[name] = append(r.tests[name], dir)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
					addMembers(names, s.Name.Name, s.Type)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Ident:
			r.words[x.Name] = true
		case *ast.BasicLit:
			if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
				r.addWords(text)
			}
		}
		return true
	})
}

func (r *repository) addWords(text string) {
	for _, word := range someWord.FindAllString(text, -1) {
		r.words[word] = true
	}
}

// addLocks adds the mutexes that are fields of the structs in a file.
func (r *repository) addLocks(pkg string, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		ast.Inspect(spec.Type, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok {
				return true
			}
			if typ, ok := field.Type.(*ast.SelectorExpr); ok && (typ.Sel.Name == "Mutex" || typ.Sel.Name == "RWMutex") {
				for _, name := range field.Names {
					r.locks[pkg+"."+spec.Name.Name+"."+name.Name] = true
				}
			}
			return true
		})
		return false
	})
}

// receiver returns the name of a method's type.
func receiver(x ast.Expr) string {
	switch t := x.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// addMembers adds the fields of a struct and the methods of an interface.
func addMembers(names map[string]bool, name string, x ast.Expr) {
	var list *ast.FieldList
	switch t := x.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, field := range list.List {
		for _, member := range field.Names {
			names[name+"."+member.Name] = true
		}
	}
}

var (
	isTest      = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)[A-Z]\w*$`)
	isSetting   = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	isQualified = regexp.MustCompile(`^([a-z][\w/]*)\.(\w+(\.\w+)?)$`) // package.Name or package.Type.member
	isFile      = regexp.MustCompile(`^[\w./-]+\.(go|lua|md|json|yml|conf|acl|js|css|html|mod)$|^[\w.-]+/[\w./-]*$|^Makefile$|^Dockerfile$`)
	isWord      = regexp.MustCompile(`^\w+$`)
	someWord    = regexp.MustCompile(`\w+`)
)

// missing returns why a name in a document does not exist; "" if it does, or if the text is not a
// name but a key, a command or a formula.
func (r *repository) missing(name string) string {
	if target, ok := strings.CutPrefix(name, "make "); ok {
		if !r.targets[target] {
			return "no such target in the Makefile"
		}
		return ""
	}
	name, _, _ = strings.Cut(name, "=") // REDIS_MODE=cluster
	if m := isQualified.FindStringSubmatch(name); m != nil && !isFile.MatchString(name) {
		if len(r.packages(m[1])) == 0 {
			return "no such package"
		}
		for _, dir := range r.packages(m[1]) {
			if r.names[dir][m[2]] {
				return ""
			}
		}
		return "the package does not declare it"
	}
	switch {
	case isTest.MatchString(name):
		if r.tests[name] == nil {
			return "no such test"
		}
	case isSetting.MatchString(name):
		if !r.words[name] {
			return "no such setting"
		}
	case isFile.MatchString(name):
		if !r.paths[strings.TrimSuffix(name, "/")] {
			return "no such file or directory"
		}
	case isWord.MatchString(name):
		if !r.words[name] && !r.paths[name] {
			return "not a word of the code"
		}
	}
	return ""
}

// packages returns the directories of a package that is named by its path or by the end of it.
func (r *repository) packages(name string) (dirs []string) {
	for dir := range r.names {
		if dir == name || strings.HasSuffix(dir, "/"+name) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
