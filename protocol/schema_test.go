package protocol_test

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/fxcast/fxcast/protocol"
)

// compiled returns the messages and fields of fx.proto as a library of Protobuf knows them.
func compiled(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	kinds := map[string]descriptorpb.FieldDescriptorProto_Type{
		"sint64": descriptorpb.FieldDescriptorProto_TYPE_SINT64, "sint32": descriptorpb.FieldDescriptorProto_TYPE_SINT32,
		"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32, "uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64, "bool": descriptorpb.FieldDescriptorProto_TYPE_BOOL,
		"string": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	}
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("fx.proto"), Syntax: proto.String("proto3"), Package: proto.String("fx.v1")}
	for _, m := range regexp.MustCompile(`(?m)^message (\w+) \{\n((?:  .*\n|\n)*)\}`).FindAllStringSubmatch(string(protocol.Schema()), -1) {
		message := &descriptorpb.DescriptorProto{Name: proto.String(m[1])}
		for _, f := range regexp.MustCompile(`(?m)^  (repeated )?(\w+) (\w+) = (\d+);`).FindAllStringSubmatch(m[2], -1) {
			number, _ := strconv.Atoi(f[4])
			field := &descriptorpb.FieldDescriptorProto{Name: proto.String(f[3]), Number: proto.Int32(int32(number)), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
			if f[1] != "" {
				field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			}
			if kind, ok := kinds[f[2]]; ok {
				field.Type = kind.Enum()
			} else {
				field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), proto.String(".fx.v1."+f[2])
			}
			message.Field = append(message.Field, field)
		}
		file.MessageType = append(file.MessageType, message)
	}
	descriptor, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return descriptor
}

// An outsider decodes with a library of Protobuf and the rules in the comments of fx.proto, and
// knows no code of this package.
type outsider struct {
	batch protoreflect.MessageDescriptor
	names map[int64]string
	last  map[int64][]int64
}

func (o *outsider) decode(t *testing.T, data []byte) protocol.Message {
	t.Helper()
	m := dynamicpb.NewMessage(o.batch)
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatalf("%x: %v", data, err)
	}
	noUnknown(t, m)
	for each := range listed(m, "symbols") {
		o.names[int64(get(each, "number").Uint())] = get(each, "name").String()
	}
	snapshot := get(m, "snapshot").Bool()
	var quotes []protocol.Quote
	for tick := range listed(m, "ticks") {
		var n []int64
		for i, list := 0, get(tick, "n").List(); i < list.Len(); i++ {
			n = append(n, list.Get(i).Int())
		}
		quotes = append(quotes, o.quote(t, tick, n, snapshot))
	}
	if snapshot {
		return protocol.Snapshot{Reset: get(m, "reset").Bool(), Data: quotes}
	}
	return protocol.Update{Data: quotes}
}

func (o *outsider) quote(t *testing.T, tick protoreflect.Message, n []int64, snapshot bool) protocol.Quote {
	t.Helper()
	key := len(n) >= 7
	for len(n) < 9 {
		n = append(n, 0)
	}
	number := n[0]
	if number < 0 {
		number = -number
	} else {
		n[1] *= 1000
	}
	last, known := o.last[number]
	if !key {
		if !known {
			t.Fatalf("a difference to nothing: %v", tick)
		}
		for i := 1; i <= 5; i++ {
			n[i] += last[i]
		}
		n[6], n[7], n[8] = last[6]+1+int64(get(tick, "skipped").Uint()), last[7], last[8]
	}
	o.last[number] = n
	for _, v := range []int64{n[2], n[2] + n[3], n[4] - 1, n[5] - 1} {
		if v < -1 || v >= 1e15 {
			t.Fatalf("%v is out of bounds", n)
		}
	}
	if n[1] < 0 || n[1] >= 1<<53 {
		t.Fatalf("%v is out of bounds", n)
	}
	text := func(field protoreflect.Name, value, digits, cut int64) string {
		if exact := get(tick, field).String(); exact != "" {
			return exact
		}
		plain := new(big.Rat).SetFrac(big.NewInt(value), new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil)).FloatString(int(digits))
		for ; cut > 0; cut-- {
			if !strings.HasSuffix(plain, "0") {
				t.Fatalf("%s cannot lose %d zeros", plain, cut)
			}
			plain = strings.TrimSuffix(strings.TrimSuffix(plain, "0"), ".")
		}
		return plain
	}
	cut, sizeCut := get(tick, "cut").Int(), get(tick, "size_cut").Int()
	q := protocol.Quote{Symbol: o.names[number], Time: protocol.At(time.UnixMicro(n[1]).UTC()), Seq: uint64(n[6]),
		Bid: text("bid", n[2], n[7], cut), Ask: text("ask", n[2]+n[3], n[7], -cut)}
	if n[4] > 0 || get(tick, "bid_size").String() != "" {
		q.BidSize = text("bid_size", n[4]-1, n[8], sizeCut)
	}
	if n[5] > 0 || get(tick, "ask_size").String() != "" {
		q.AskSize = text("ask_size", n[5]-1, n[8], -sizeCut)
	}
	q.Gap, q.Epoch, q.Status = get(tick, "gap").Bool(), get(tick, "epoch").String(), get(tick, "status").String()
	if known && !snapshot && q.Epoch == "" {
		q.Skipped = uint64(n[6] - last[6] - 1)
	}
	return q
}

func get(m protoreflect.Message, field protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(field))
}

func listed(m protoreflect.Message, field protoreflect.Name) func(func(protoreflect.Message) bool) {
	return func(yield func(protoreflect.Message) bool) {
		for i, list := 0, get(m, field).List(); i < list.Len(); i++ {
			if !yield(list.Get(i).Message()) {
				return
			}
		}
	}
}

// noUnknown fails if a message has fields that the schema does not describe.
func noUnknown(t *testing.T, m protoreflect.Message) {
	t.Helper()
	for _, part := range []protoreflect.Name{"symbols", "ticks"} {
		for each := range listed(m, part) {
			if len(each.GetUnknown()) > 0 {
				t.Fatalf("fields that the schema does not have: %x", []byte(each.GetUnknown()))
			}
		}
	}
	if len(m.GetUnknown()) > 0 {
		t.Fatalf("fields that the schema does not have: %x", []byte(m.GetUnknown()))
	}
}

// A library of Protobuf, the schema and its comments are enough to decode the messages.
func TestSchemaIsEnough(t *testing.T) {
	batch := compiled(t).Messages().ByName("Batch")
	for seed := range uint64(5) {
		s, o := newSender(seed), &outsider{batch: batch, names: map[int64]string{}, last: map[int64][]int64{}}
		s.messages(2000, func(text, data []byte) {
			if got := o.decode(t, data).Append(nil); string(got) != string(text) {
				t.Fatalf("seed %d, %x:\n%s\nwant\n%s", seed, data, got, text)
			}
		})
	}
}

// A Decoder also reads what another encoder of Protobuf makes of the same message: its order of
// fields, lengths and numbers that are not packed differ.
func TestDecoderReadsAnyEncoding(t *testing.T) {
	batch := compiled(t).Messages().ByName("Batch")
	s, d, numbers := newSender(7), protocol.Decoder{}, protowire.AppendTag(nil, 1, protowire.VarintType)
	s.messages(2000, func(text, data []byte) {
		m := dynamicpb.NewMessage(batch)
		if err := proto.Unmarshal(data, m); err != nil {
			t.Fatal(err)
		}
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		checkCoded(t, &d, nil, text, again)
	})
	var loose []byte
	for _, v := range []int64{1, 1_700_000_000_000, 108501, 12, 0, 0, 1841, 5} {
		loose = protowire.AppendVarint(append(loose, numbers...), protowire.EncodeZigZag(v))
	}
	m, err := new(protocol.Decoder).Decode(protocol.AppendTick(protocol.AppendSymbol(nil, 1, "EUR/USD"), loose, protocol.Extra{}))
	if u, ok := m.(protocol.Update); err != nil || !ok || len(u.Data) != 1 || u.Data[0].Bid != "1.08501" || u.Data[0].Ask != "1.08513" || u.Data[0].Seq != 1841 {
		t.Errorf("numbers that are not packed: %+v, %v", m, err)
	}
}
