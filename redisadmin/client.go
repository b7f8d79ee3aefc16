package redisadmin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// ClientType selects connections of one type.
type ClientType string

// The types of connections that a server distinguishes.
const (
	AllClients     ClientType = ""
	NormalClients  ClientType = "normal"
	PubSubClients  ClientType = "pubsub" // with a subscription
	ReplicaClients ClientType = "replica"
	MasterClients  ClientType = "master" // of a replica to its master
)

const maxClients = 10_000 // that one call returns

// Clients are the connections of a server, or of all masters of a cluster.
type Clients struct {
	Total   int      `json:"total"` // all connections, listed or not
	Clients []Client `json:"clients"`
}

// Client is one connection, as the server reports it.
type Client struct {
	ID                 Number `json:"id"` // unique per server until it restarts
	Node               string `json:"node,omitempty"`
	Addr               Text   `json:"addr"`
	Name               Text   `json:"name"` // from CLIENT SETNAME
	User               Text   `json:"user"`
	AgeSeconds         Number `json:"age_seconds"`
	IdleSeconds        Number `json:"idle_seconds"`
	Flags              Text   `json:"flags"` // of CLIENT LIST: N normal, P subscriber, S replica, b blocked, O monitor
	DB                 Number `json:"db"`
	Channels           Number `json:"channels"` // subscribed ones
	Patterns           Number `json:"patterns"`
	ShardChannels      Number `json:"shard_channels"` // since Redis 7.0
	OutputBufferBytes  Number `json:"output_buffer_bytes"`
	OutputListReplies  Number `json:"output_list_replies"` // replies queued behind the fixed buffer
	QueryBufferBytes   Number `json:"query_buffer_bytes"`
	TotalMemoryBytes   Number `json:"total_memory_bytes"` // since Redis 6.2
	Command            Text   `json:"command"`            // the last one
	ProtocolVersion    Number `json:"protocol"`           // RESP 2 or 3; since Redis 7.0
	LibraryNameVersion Text   `json:"library"`            // since Redis 7.2
}

// Clients lists the connections of a type, those with the largest output buffers first, at most
// 10,000. The error is ErrNotOffered or ErrUnavailable.
func (a *Admin) Clients(ctx context.Context, kind ClientType) (Clients, error) {
	switch kind {
	case AllClients, NormalClients, PubSubClients, ReplicaClients, MasterClients:
	default:
		return Clients{}, fmt.Errorf("redisadmin: client type %.40q: want normal, pubsub, replica, master, or none", string(kind))
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return Clients{}, err
	}
	lists, errs := make([][]Client, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { lists[i], errs[i] = srv.clients(ctx, kind) })
	for _, err := range errs {
		if err != nil {
			return Clients{}, err
		}
	}
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Client) int {
		return cmp.Compare(b.OutputBufferBytes.Or(0), a.OutputBufferBytes.Or(0))
	})
	c := Clients{Total: len(all), Clients: all[:min(len(all), maxClients)]}
	if c.Clients == nil {
		c.Clients = []Client{}
	}
	return c, nil
}

func (srv server) clients(ctx context.Context, kind ClientType) ([]Client, error) {
	args := []any{"client", "list"}
	if kind != AllClients {
		args = append(args, "type", string(kind))
	}
	text, err := srv.client.Do(ctx, args...).Text()
	if err = classify(ctx, "client list", err); err != nil {
		return nil, err
	}
	list := ParseClients(text)
	for i := range list {
		list[i].Node = srv.addr
	}
	return list, nil
}

// ParseClients parses the text of CLIENT LIST, of Redis 6.2 and later and of its forks. It ignores
// unknown fields; a value that it cannot parse is unknown.
func ParseClients(text string) []Client {
	var list []Client
	for line := range strings.SplitSeq(text, "\n") {
		f := fields{}
		for field := range strings.FieldsSeq(line) {
			// A name may hold an equals sign.
			if name, value, ok := strings.Cut(field, "="); ok {
				f[name] = value
			}
		}
		if len(f) == 0 {
			continue
		}
		var p infoParser // its error is ignored: that field is unknown
		c := Client{
			ID: p.count(f, "id"), Addr: word(f, "addr"), Name: word(f, "name"), User: word(f, "user"),
			AgeSeconds: p.count(f, "age"), IdleSeconds: p.count(f, "idle"), Flags: word(f, "flags"), DB: p.count(f, "db"),
			Channels: p.count(f, "sub"), Patterns: p.count(f, "psub"), ShardChannels: p.count(f, "ssub"),
			OutputBufferBytes: p.count(f, "omem"), OutputListReplies: p.count(f, "oll"), QueryBufferBytes: p.count(f, "qbuf"),
			TotalMemoryBytes: p.count(f, "tot-mem"), Command: word(f, "cmd"), ProtocolVersion: p.count(f, "resp"),
			LibraryNameVersion: Text(strings.TrimSpace(string(word(f, "lib-name")) + " " + string(word(f, "lib-ver")))),
		}
		list = append(list, c)
	}
	return list
}

// title returns the name and the address of a client for a person.
func (c Client) title() string {
	addr := string(c.Addr)
	if addr == "" {
		addr = "unknown address"
	}
	if c.Name == "" {
		return addr
	}
	return string(c.Name) + " (" + addr + ")"
}
