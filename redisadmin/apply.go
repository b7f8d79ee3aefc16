package redisadmin

import (
	"context"
	"errors"
	"slices"
)

// Applied is the outcome of one Advice.
type Applied struct {
	Advice
	Done  bool   `json:"done"`
	Fault string `json:"fault,omitempty"` // why it was not applied
	Keep  string `json:"keep,omitempty"`  // what the operator has to do so that a restart keeps the change
}

// Apply makes the changes that CONFIG SET can make, one after the other, and returns the outcome
// of each. It leaves a setting alone that was changed after the Advice was given. It never writes
// the server's file; Keep says how to make a change last. The error is that of a server that is
// gone; the list then ends before that change.
func (a *Admin) Apply(ctx context.Context, advice []Advice) ([]Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	kinds := map[string]serverKind{}
	files := map[string]string{} // configuration file by server; "" = started without one
	done := []Applied{}
	for _, one := range advice {
		i := slices.IndexFunc(servers, func(srv server) bool { return srv.addr == one.Node })
		result := Applied{Advice: one}
		switch {
		case i < 0:
			result.Fault = "this server is no longer part of the cluster"
		case one.How == ApplyRestart:
			result.Fault = "needs a restart: set it in redis.conf"
		case one.How != ApplyLive || one.Wanted == "":
			result.Fault = "the operator has to decide"
		default:
			if _, known := files[one.Node]; !known {
				if files[one.Node], kinds[one.Node], err = a.confFile(ctx, servers[i]); err != nil {
					return done, err
				}
			}
			if result.Fault, err = servers[i].apply(ctx, one); err != nil {
				return done, err
			}
			result.Done = result.Fault == ""
		}
		if result.Done {
			result.Keep = "set it in redis.conf too: the server was started without a file, and a restart undoes the change"
			if files[one.Node] != "" {
				result.Keep = "CONFIG REWRITE, or set it in redis.conf; otherwise a restart undoes the change"
			}
		}
		result.Keep = kinds[one.Node].text(result.Keep)
		done = append(done, result)
	}
	return done, nil
}

// confFile returns the path of the file that the server was started with, "" = none or unknown, and
// the kind of the server.
func (a *Admin) confFile(ctx context.Context, srv server) (string, serverKind, error) {
	info, err := a.info(ctx, srv)
	if err != nil || info.Server == nil {
		return "", serverKind{}, err
	}
	return string(info.Server.ConfigFile), info.kind(), nil
}

// apply changes one setting. fault is the reason why the server keeps the old value.
func (srv server) apply(ctx context.Context, advice Advice) (fault string, err error) {
	now, err := srv.config(ctx, advice.Setting)
	if err == nil {
		if current := adviceValue(advice.Setting, now[advice.Setting]); current != advice.Current {
			return "it was changed meanwhile, to " + current, nil
		}
		err = classify(ctx, "config set "+advice.Setting, srv.client.ConfigSet(ctx, advice.Setting, advice.Wanted).Err())
	}
	if errors.Is(err, ErrNotOffered) {
		return reasonOf(err), nil
	}
	return "", err
}
