package tools

import (
	"reflect"
	"strings"
	"testing"

	"brainstorm-sandbox/guest/internal/evidence"
	"brainstorm-sandbox/guest/internal/strictjson"
)

func params(t *testing.T, text string) *strictjson.Object {
	t.Helper()
	o, err := strictjson.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheCatalogNamesExactlyTheToolsThatAreThere(t *testing.T) {
	list, err := Catalog()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, v := range list {
		name, _ := v.(*strictjson.Object).Get("name")
		named[name.(string)] = true
		if registry[name.(string)] == nil {
			t.Errorf("%s has no mapping", name)
		}
	}
	for name := range registry {
		if !named[name] {
			t.Errorf("%s is not in the catalog", name)
		}
	}
}

// Each schema's properties are what the mapping takes: a property the mapping
// does not know is refused by it, one it requires is required by the schema.
func TestEachSchemaSaysWhatItsMappingTakes(t *testing.T) {
	list, _ := Catalog()
	for _, v := range list {
		o := v.(*strictjson.Object)
		name, _ := o.Get("name")
		schema, _ := o.Get("params_schema")
		f := strictjson.Read("schema", schema.(*strictjson.Object))
		if strict, ok := f.Any("additionalProperties"); !ok || strict != false {
			t.Errorf("%s takes unknown parameters by its schema", name)
		}
		for _, property := range f.Object("properties").Members {
			_, err := Resolve(name.(string), strictjson.Of(property.Key, nil))
			if err != nil && strings.Contains(err.Error(), "unknown field") {
				t.Errorf("%s does not take %s", name, property.Key)
			}
		}
		for _, required := range f.OptionalList("required") {
			if _, err := Resolve(name.(string), strictjson.Of()); err == nil {
				t.Errorf("%s does without %s", name, required)
			}
		}
	}
}

func TestWhatFsReadGivesIsNeverCut(t *testing.T) {
	limit := int64(evidence.WholeOutput)
	plan, err := Resolve("fs.read", params(t, `{"path":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if length, _ := plan.Worker.Get("length"); length != limit {
		t.Errorf("the usual length is %v", length)
	}
	list, _ := Catalog()
	for _, v := range list {
		o := v.(*strictjson.Object)
		if name, _ := o.Get("name"); name != "fs.read" {
			continue
		}
		schema, _ := o.Get("params_schema")
		length := strictjson.Read("", strictjson.Read("", schema.(*strictjson.Object)).Object("properties")).Object("length")
		for _, key := range []string{"maximum", "default"} {
			if n, _ := length.Get(key); n != float64(limit) {
				t.Errorf("the schema's %s is %v", key, n)
			}
		}
	}
}

func TestParametersBecomeArgumentsAndNeverOptions(t *testing.T) {
	for _, c := range []struct {
		tool, params string
		argv         []string
	}{
		{"cat", `{"path":"-n"}`, []string{"/bin/cat", "--", "-n"}},
		{"cat", `{"path":"-"}`, []string{"/bin/cat", "--", "./-"}},
		{"ls", `{}`, []string{"/bin/ls", "--", "."}},
		{"ls", `{"path":"/tmp","all":true,"long":true}`, []string{"/bin/ls", "-a", "-l", "--", "/tmp"}},
		{"sh", `{"command":"-x"}`, []string{"/bin/sh", "-c", "-x"}},
		{"env", `{}`, []string{"/bin/env"}},
	} {
		plan, err := Resolve(c.tool, params(t, c.params))
		if err != nil || !reflect.DeepEqual(plan.Argv, c.argv) {
			t.Errorf("%s %s: %q, %v", c.tool, c.params, plan.Argv, err)
		}
	}
	plan, err := Resolve("echo", params(t, `{"text":"-n x"}`))
	if err != nil || string(plan.Stdin) != "-n x\n" || len(plan.Argv) != 1 {
		t.Errorf("echo: %+v %v", plan, err)
	}
}

func TestWrongParametersAreRefusedWithASentence(t *testing.T) {
	for _, c := range [][3]string{
		{"echo", `{}`, `"text" is missing`},
		{"echo", `{"text":1}`, "must be a string"},
		{"echo", `{"text":"a","more":1}`, "unknown field"},
		{"whoami", `{"x":1}`, "unknown field"},
		{"cat", `{"path":""}`, "1 to 4095 bytes"},
		{"cat", `{"path":"a\u0000b"}`, "no NUL"},
		{"cat", `{"path":"` + strings.Repeat("a", 4096) + `"}`, "1 to 4095 bytes"},
		{"ls", `{"all":"yes"}`, "true or false"},
		{"sh", `{"command":""}`, "bytes"},
		{"sh", `{"command":"` + strings.Repeat("a", 131072) + `"}`, "send more through stdin"},
		{"fs.write", `{"path":"a"}`, "either"},
		{"fs.write", `{"path":"a","text":"","data_b64":""}`, "either"},
		{"fs.write", `{"path":"a","data_b64":"!"}`, "not base64"},
		{"fs.write", `{"path":"a","text":"","mode":512}`, "between 0 and 511"},
		{"fs.read", `{"path":"a","length":1048577}`, "between"},
		{"fs.read", `{"path":"a","offset":-1}`, "between"},
	} {
		if _, err := Resolve(c[0], params(t, c[1])); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s %.40s: %v", c[0], c[1], err)
		}
	}
	if _, err := Resolve("root", strictjson.Of()); err != ErrUnknown {
		t.Errorf("%v", err)
	}
}
