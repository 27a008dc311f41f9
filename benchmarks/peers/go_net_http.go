// SPDX-License-Identifier: MIT
// benchmarks: Go's net/http, a goroutine for each caller. The arguments are --check, or: base URL, body, concurrency,
// seconds.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type answer struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
	} `json:"choices"`
}

func ask(client *http.Client, url, body string) error {
	response, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	bytes, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var got answer
	if err := json.Unmarshal(bytes, &got); err != nil {
		return err
	}
	if response.StatusCode != 200 || len(got.Choices) == 0 || got.Choices[0].Message.Content == "" {
		return fmt.Errorf("status %d, or an answer without a text", response.StatusCode)
	}
	return nil
}

func keepBusy(client *http.Client, url, body string, concurrency int, length time.Duration) []float64 {
	each := make([][]float64, concurrency)
	until := time.Now().Add(length)
	var all sync.WaitGroup
	for i := range each {
		all.Add(1)
		go func(mine *[]float64) {
			defer all.Done()
			for begun := time.Now(); begun.Before(until); {
				if err := ask(client, url, body); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				now := time.Now()
				*mine = append(*mine, now.Sub(begun).Seconds())
				begun = now
			}
		}(&each[i])
	}
	all.Wait()
	var latencies []float64
	for _, mine := range each {
		latencies = append(latencies, mine...)
	}
	sort.Float64s(latencies)
	return latencies
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--check" {
		fmt.Println("net/http of", runtime.Version())
		return
	}
	url, body := os.Args[1]+"/chat/completions", os.Args[2]
	concurrency, _ := strconv.Atoi(os.Args[3])
	seconds, _ := strconv.ParseFloat(os.Args[4], 64)
	length := time.Duration(seconds * float64(time.Second))

	transport := &http.Transport{MaxIdleConns: concurrency, MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	client := &http.Client{Transport: transport, Timeout: 600 * time.Second}
	keepBusy(client, url, body, concurrency, length/2) // not measured: connections are made
	cpu, begun := cpuSeconds(), time.Now()
	latencies := keepBusy(client, url, body, concurrency, length)
	json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"requests":    float64(len(latencies)),
		"seconds":     time.Since(begun).Seconds(),
		"cpu_seconds": cpuSeconds() - cpu,
		"p50":         latencies[len(latencies)/2],
		"p99":         latencies[len(latencies)*99/100],
	})
}
