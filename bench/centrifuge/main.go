// Command centrifuge is a peer for comparison with fxcast: the centrifuge library with its Redis
// broker, set up as in its documentation. Quotes come from the Redis channel -in, one publication
// per quote; each symbol is a channel. A burst of quotes is published in parallel.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/redis/go-redis/v9"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listening address")
	redisAddr := flag.String("redis", "127.0.0.1:6379", "Redis")
	in := flag.String("in", "bench:in", "channel with quotes")
	delay := flag.Duration("write-delay", 0, "WriteDelay with WriteWithTimer and no limit on messages in a frame")
	delta := flag.Bool("delta", false, "offer and publish differences (Fossil), which need a history of one")
	flag.Parse()
	var options []centrifuge.PublishOption
	var subscribed centrifuge.SubscribeOptions
	if *delta {
		options = []centrifuge.PublishOption{centrifuge.WithDelta(true), centrifuge.WithHistory(1, time.Minute)}
		subscribed.AllowedDeltaTypes = []centrifuge.DeltaType{centrifuge.DeltaTypeFossil}
		subscribed.EnablePositioning = true
	}

	node, err := centrifuge.New(centrifuge.Config{})
	check(err)
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: *redisAddr})
	check(err)
	broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
	check(err)
	node.SetBroker(broker)
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "bench"}}
		if *delay > 0 {
			reply.WriteDelay, reply.WriteWithTimer, reply.MaxMessagesInFrame = *delay, true, -1
		}
		return reply, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{Options: subscribed}, nil)
		})
	})
	check(node.Run())

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	go publish(node, options, client.Subscribe(context.Background(), *in).Channel())
	http.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true }}))
	log.Fatal(http.ListenAndServe(*addr, nil))
}

// maxBatch is the number of quotes that are published at once.
const maxBatch = 64

// publish publishes quotes. Those that have come together are published in parallel, as the batch
// method of Centrifugo's API does, but no two of one symbol, so that their order stays.
func publish(node *centrifuge.Node, options []centrifuge.PublishOption, messages <-chan *redis.Message) {
	type quote struct {
		symbol string
		data   []byte
	}
	read := func(m *redis.Message) quote {
		var q struct {
			Symbol string `json:"symbol"`
		}
		check(json.Unmarshal([]byte(m.Payload), &q))
		return quote{q.Symbol, []byte(m.Payload)}
	}
	next := read(<-messages)
	for {
		batch := map[string][]byte{next.symbol: next.data}
		wait := true // for a quote that begins the next batch
		for wait && len(batch) < maxBatch {
			select {
			case m := <-messages:
				next = read(m)
				if wait = batch[next.symbol] == nil; wait {
					batch[next.symbol] = next.data
				}
				continue
			default:
			}
			break
		}
		var publishing sync.WaitGroup
		for symbol, data := range batch {
			publishing.Go(func() {
				_, err := node.Publish(symbol, data, options...)
				check(err)
			})
		}
		publishing.Wait()
		if wait {
			next = read(<-messages)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
