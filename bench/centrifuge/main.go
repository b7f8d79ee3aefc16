// Command centrifuge is a peer for comparison with fxcast: the centrifuge library with its Redis
// broker, set up as in its documentation. Quotes come from the Redis channel -in, one publication
// per quote; each symbol is a channel.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/redis/go-redis/v9"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listening address")
	redisAddr := flag.String("redis", "127.0.0.1:6379", "Redis")
	in := flag.String("in", "bench:in", "channel with quotes")
	delay := flag.Duration("write-delay", 0, "WriteDelay with WriteWithTimer and no limit on messages in a frame")
	flag.Parse()

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
			done(centrifuge.SubscribeReply{}, nil)
		})
	})
	check(node.Run())

	client := redis.NewClient(&redis.Options{Addr: *redisAddr})
	go func() {
		sub := client.Subscribe(context.Background(), *in)
		for {
			m, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				log.Print(err)
				time.Sleep(100 * time.Millisecond)
				continue
			}
			var q struct {
				Symbol string `json:"symbol"`
			}
			check(json.Unmarshal([]byte(m.Payload), &q))
			_, err = node.Publish(q.Symbol, []byte(m.Payload))
			check(err)
		}
	}()
	http.Handle("/ws", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true }}))
	log.Fatal(http.ListenAndServe(*addr, nil))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
