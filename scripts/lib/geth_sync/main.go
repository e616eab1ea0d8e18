// Downloads a state with go-ethereum's own sync scheduler, RPC client and database: what scripts/bench compares with.
//
// geth can no longer be told to sync a state over JSON-RPC, node by node. Its engine for that is still in it: the
// scheduler of trie.Sync, which healing uses. Here it is driven as geth's own downloader drove it: one goroutine asks
// the scheduler and gives it the answers, others fetch and hash, and what is complete is written to Pebble in batches.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb"
	"github.com/ethereum/go-ethereum/ethdb/pebble"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/trie"
)

const (
	// Files that Pebble keeps open.
	handles = 1000
	// A reply that takes longer is a failure: the peer is on this machine.
	patience = time.Minute
)

// A request and, once it came back, its answers.
type request struct {
	paths  []string
	hashes []common.Hash
	codes  []common.Hash
	values []hexutil.Bytes
	err    error
}

func main() {
	url := flag.String("url", "", "the peer")
	root := flag.String("root", "", "the state root")
	dir := flag.String("datadir", "", "the database's directory")
	cache := flag.Int("cache", 512, "megabytes of Pebble's cache and write buffers")
	batch := flag.Int("batch", 384, "items in a request")
	inflight := flag.Int("inflight", 8, "requests at once")
	flag.Parse()
	if err := run(*url, common.HexToHash(*root), *dir, *cache, *batch, *inflight); err != nil {
		fmt.Fprintln(os.Stderr, "geth_sync:", err)
		os.Exit(1)
	}
}

func run(url string, root common.Hash, dir string, cache, batch, inflight int) error {
	// Without connections of their own the requests would open new ones all the time: Go keeps two by default.
	transport := &http.Transport{MaxIdleConnsPerHost: inflight, DisableCompression: true}
	client, err := rpc.DialOptions(context.Background(), url, rpc.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := pebble.New(dir, cache, handles, "", false)
	if err != nil {
		return err
	}
	db := rawdb.NewDatabase(store)
	started := time.Now()
	counts, err := download(client, db, root, batch, inflight)
	if err != nil {
		return err
	}
	if err := db.SyncKeyValue(); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	counts["wall_seconds"] = time.Since(started).Seconds()
	return json.NewEncoder(os.Stdout).Encode(counts)
}

func download(client *rpc.Client, db ethdb.Database, root common.Hash, batch, inflight int) (map[string]any, error) {
	scheduler := state.NewStateSync(root, db, nil, rawdb.HashScheme)
	asked, answered := make(chan *request), make(chan *request, inflight)
	defer close(asked)
	for range inflight {
		go func() {
			for request := range asked {
				request.err = fetch(client, request)
				answered <- request
			}
		}()
	}
	nodes, codes, requests, flying := 0, 0, 0, 0
	for flying > 0 || scheduler.Pending() > 0 {
		for flying < inflight {
			paths, hashes, wanted := scheduler.Missing(batch)
			if len(hashes)+len(wanted) == 0 {
				break
			}
			asked <- &request{paths: paths, hashes: hashes, codes: wanted}
			flying++
			requests++
		}
		if flying == 0 {
			return nil, errors.New("the scheduler has nothing to ask for and is not done")
		}
		request := <-answered
		flying--
		if request.err != nil {
			return nil, request.err
		}
		for i, path := range request.paths {
			if err := scheduler.ProcessNode(trie.NodeSyncResult{Path: path, Data: request.values[i]}); err != nil {
				return nil, err
			}
		}
		for i, hash := range request.codes {
			data := request.values[len(request.paths)+i]
			if err := scheduler.ProcessCode(trie.CodeSyncResult{Hash: hash, Data: data}); err != nil {
				return nil, err
			}
		}
		nodes, codes = nodes+len(request.paths), codes+len(request.codes)
		if scheduler.MemSize() >= ethdb.IdealBatchSize {
			if err := write(scheduler, db); err != nil {
				return nil, err
			}
		}
	}
	if err := write(scheduler, db); err != nil {
		return nil, err
	}
	return map[string]any{"nodes": nodes, "codes": codes, "requests": requests}, nil
}

// Asks for the items of a request in one batch, and checks their hashes.
func fetch(client *rpc.Client, request *request) error {
	hashes := append(append([]common.Hash{}, request.hashes...), request.codes...)
	request.values = make([]hexutil.Bytes, len(hashes))
	calls := make([]rpc.BatchElem, len(hashes))
	for i, hash := range hashes {
		key := hash.Bytes()
		if i >= len(request.hashes) {
			key = append(append([]byte{}, rawdb.CodePrefix...), key...)
		}
		calls[i] = rpc.BatchElem{Method: "debug_dbGet", Args: []any{hexutil.Bytes(key)}, Result: &request.values[i]}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := client.BatchCallContext(ctx, calls); err != nil {
		return err
	}
	hasher, sum := crypto.NewKeccakState(), common.Hash{}
	for i, call := range calls {
		if call.Error != nil {
			return call.Error
		}
		hasher.Reset()
		hasher.Write(request.values[i])
		hasher.Read(sum[:])
		if sum != hashes[i] {
			return fmt.Errorf("%x came for %x", sum, hashes[i])
		}
	}
	return nil
}

func write(scheduler *trie.Sync, db ethdb.Database) error {
	batch := db.NewBatch()
	if err := scheduler.Commit(batch); err != nil {
		return err
	}
	return batch.Write()
}
