package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// A publishAnswer counts the accepted quotes of a request and lists the rejected ones. With
// PUBLISH_ACK=replicated it also lists the accepted ones that no replica has.
type publishAnswer struct {
	Accepted     int                `json:"accepted"`
	Rejected     []publishRejection `json:"rejected"`
	Unreplicated []int              `json:"unreplicated,omitzero"`
}

type publishRejection struct {
	Index   int         `json:"index"`
	Reason  feed.Reason `json:"reason"`
	Message string      `json:"message,omitempty"`
}

// postQuotes publishes one quote, an array, or NDJSON. The answer lists rejected quotes by
// their index; all others were accepted.
func (s *Server) postQuotes(w http.ResponseWriter, r *http.Request) error {
	if len(s.cfg.PublishTokens) == 0 {
		return endpoint.Forbidden("publishing over HTTP is off: PUBLISH_TOKEN is not set")
	}
	token, ok := s.publishToken(r)
	if !ok {
		return endpoint.BadToken("want Authorization: Bearer with a publish token")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &endpoint.Problem{Status: http.StatusUnsupportedMediaType, Title: "Unsupported encoding",
			Detail: fmt.Sprintf("Content-Encoding %s is not supported; send the body without an encoding", strconv.Quote(protocol.Clip(encoding, protocol.MaxEcho)))}
	}
	body, err := endpoint.ReadBody(http.MaxBytesReader(w, r.Body, feed.MaxInputBody))
	if err != nil {
		return err
	}
	items, err := feed.SplitInput(body)
	if err != nil {
		s.cfg.Rejected.Add(feed.BodyRejection(err), feed.Quote{Source: token.Source}, accept.ViaHTTP, body)
		return endpoint.BadRequest("%v", err)
	}
	if err := s.limitPublish(w, r, token, len(items)); err != nil {
		return err
	}
	options := feed.InputOptions{Instruments: s.cfg.Instruments, Base: s.cfg.FeedBase, Source: token.Source, ForceSource: token.Source != ""}
	answer := publishAnswer{Rejected: []publishRejection{}}
	if s.cfg.Publisher.Replicated() {
		answer.Unreplicated = []int{}
	}
	quotes, index := make([]feed.Quote, 0, len(items)), make([]int, 0, len(items))
	reject := func(i int, rejection *feed.Rejection, q feed.Quote) {
		answer.Rejected = append(answer.Rejected, publishRejection{i, rejection.Reason, rejection.Message})
		s.cfg.Rejected.Add(rejection, q, accept.ViaHTTP, items[i])
	}
	for i, item := range items {
		q, err := feed.ParseInput(item, options)
		if rejection, ok := errors.AsType[*feed.Rejection](err); ok {
			reject(i, rejection, q)
			continue
		} else if err != nil {
			return err
		}
		s.cfg.Rejected.Note(q)
		quotes, index = append(quotes, q), append(index, i)
	}
	outcomes, err := s.cfg.Publisher.Publish(r.Context(), quotes)
	for i, o := range outcomes {
		switch {
		case o.Rejection != nil:
			reject(index[i], o.Rejection, quotes[i])
		case o.Known():
			s.cfg.Rejected.Accepted(quotes[i], accept.ViaHTTP)
			answer.Accepted++
			if o.Unreplicated {
				answer.Unreplicated = append(answer.Unreplicated, index[i])
			}
		}
	}
	if err != nil {
		return partlyPublished(err, outcomes)
	}
	slices.SortFunc(answer.Rejected, func(a, b publishRejection) int { return cmp.Compare(a.Index, b.Index) })
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// partlyPublished returns the problem of a batch of which Redis did not take every quote. The
// text states how many quotes have a known outcome.
func partlyPublished(err error, outcomes []accept.Outcome) error {
	known := 0
	for _, o := range outcomes {
		if o.Known() {
			known++
		}
	}
	others := "the others were not accepted"
	if errors.Is(err, accept.ErrOutcomeUnknown) {
		others = "the outcome of the others is unknown"
	}
	return endpoint.Unavailable(fmt.Sprintf("%s; %d of %d quotes are settled, %s", endpoint.LostRedis(err), known, len(outcomes), others), err)
}

// limitPublish counts a batch of quotes against the tier of publishers.
func (s *Server) limitPublish(w http.ResponseWriter, r *http.Request, token PublishToken, quotes int) error {
	return s.access.Charge(w, r, "publish:"+cmp.Or(token.Source, "default"), int64(quotes), s.cfg.PublishTier)
}

func (s *Server) publishToken(r *http.Request) (PublishToken, bool) {
	tokens := make([]string, len(s.cfg.PublishTokens))
	for i, t := range s.cfg.PublishTokens {
		tokens[i] = t.Token
	}
	i := s.access.FindToken(r, access.PublishDoor, tokens)
	if i < 0 {
		return PublishToken{}, false
	}
	return s.cfg.PublishTokens[i], true
}
