package cache

import (
	"context"
	"errors"
)

// Typed is a Namespace whose values have type T. []byte and string are stored unchanged, any other
// type as JSON. Reading a stored value that is not JSON of T returns ErrFormat; Fetch loads it
// again.
//
// A stored value that is not plain begins with the bytes 00 66 78 and a kind: 1 is bytes, 2 is
// JSON, 3 and 4 are the same compressed with zstd, and 5 means that the source has no value. A
// value without this header, with an unknown kind, or with damaged content, is read as bytes. If T
// is neither []byte nor string, these bytes may be JSON that another program wrote.
type Typed[T any] struct{ ns *Namespace }

// As returns a view of n for values of type T.
func As[T any](n *Namespace) Typed[T] { return Typed[T]{n} }

func decodeAs[T any](payload []byte) (value T, err error) {
	err = decodeInto(payload, &value)
	return value, err
}

func typed[T any](e Entry[[]byte], err error) (Entry[T], error) {
	if err != nil {
		return Entry[T]{}, err
	}
	value, err := decodeAs[T](e.Value)
	if err != nil {
		return Entry[T]{}, err
	}
	return Entry[T]{Value: value, Source: e.Source, Age: e.Age}, nil
}

// Get is Namespace.Get.
func (t Typed[T]) Get(ctx context.Context, key string) (Entry[T], error) {
	return typed[T](t.ns.Get(ctx, key))
}

// Set is Namespace.Set.
func (t Typed[T]) Set(ctx context.Context, key string, value T) error {
	return t.ns.Set(ctx, key, value)
}

// GetMany is Namespace.GetMany. Keys whose values are not of type T are in the PartialError.
func (t Typed[T]) GetMany(ctx context.Context, keys ...string) (map[string]Entry[T], error) {
	found, err := t.ns.GetMany(ctx, keys...)
	failed := map[string]error{}
	if partial, ok := errors.AsType[*PartialError](err); ok {
		failed = partial.Failed
	} else if err != nil {
		return nil, err
	}
	entries := make(map[string]Entry[T], len(found))
	for key, e := range found {
		entry, err := typed[T](e, nil)
		if err != nil {
			failed[key] = err
			continue
		}
		entries[key] = entry
	}
	return entries, newPartialError(failed, len(keys))
}

// SetMany is Namespace.SetMany.
func (t Typed[T]) SetMany(ctx context.Context, values map[string]T) error {
	untyped := make(map[string]any, len(values))
	for key, value := range values {
		untyped[key] = value
	}
	return t.ns.SetMany(ctx, untyped)
}

// Fetch is Namespace.Fetch. Each caller receives its own copy of the value.
func (t Typed[T]) Fetch(ctx context.Context, key string, load func(context.Context) (T, error)) (Entry[T], error) {
	return fetch(ctx, t.ns, key, func(ctx context.Context) (any, error) { return load(ctx) }, decodeAs[T])
}
