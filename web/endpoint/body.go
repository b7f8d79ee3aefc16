package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/fxcast/fxcast/protocol"
)

// WriteJSON answers with the JSON of v.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
	return nil
}

// ReadJSON decodes the body, which must be one JSON object, into a pointer. An unknown field,
// a wrong type or further data is a Problem (400) that names the fault. A Problem that a
// field's own UnmarshalJSON returns is passed on.
func ReadJSON(r *http.Request, into any) error {
	body, err := ReadBody(r.Body)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if p, ok := errors.AsType[*Problem](err); ok { // from a field's own UnmarshalJSON
			return p
		}
		if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && typ.Field != "" {
			return BadRequest("%s: want %s, not %s", typ.Field, wanted(typ.Type), given(typ.Value))
		}
		if name, ok := unknownField(err); ok {
			return BadRequest("unknown field %s", name)
		}
		return BadRequest("the body is not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return BadRequest("the body has more than one JSON object")
	}
	return nil
}

// wanted describes the JSON value that a field of type t accepts.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number of at most 64 bits"
	case reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "another kind of value"
}

// given describes a value as encoding/json names it: its kind, or the number itself where that is
// given, as in "number 100.0". A number is not refused for its kind, so its kind explains nothing.
func given(value string) string {
	kind, number, ok := strings.Cut(value, " ")
	if ok {
		return protocol.Clip(number, protocol.MaxEcho)
	}
	return "a JSON " + kind
}

// unknownField extracts the quoted name of a field from encoding/json's error, which has no
// type of its own.
func unknownField(err error) (string, bool) {
	name, ok := strings.CutPrefix(err.Error(), "json: unknown field ")
	return protocol.Clip(name, protocol.MaxEcho), ok && name != ""
}
