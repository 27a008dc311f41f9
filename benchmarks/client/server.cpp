// SPDX-License-Identifier: MIT
// benchmarks: see server.hpp.
#include "server.hpp"

#include "chat.hpp"
#include "support/child.hpp"
#include "support/temporary_folder.hpp"

#include "model_server/model_server.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace bench {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_connections = 4'096;

[[noreturn]] void throw_errno(const char* what) { throw std::system_error{errno, std::generic_category(), what}; }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

/// One that nobody uses now.
std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw_errno("socket");
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!bound) throw_errno("bind to 127.0.0.1");
  return ntohs(address.sin_port);
}

bool accepts(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw_errno("socket");
  const sockaddr_in address = loopback(port);
  const bool connected = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return connected;
}

/// Where nginx keeps its modules, and what it says of its version. Empty: it is not installed.
struct installed_nginx {
  std::string program, version;
  fs::path echo_module;
};
installed_nginx find_nginx() {
  for (const char* name : {"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"}) {
    const auto said = output_of({name, "-V"});
    if (!said) continue;
    const auto word_after = [&](const std::string& key) {
      const std::size_t at = said->find(key);
      if (at == std::string::npos) return std::string{};
      const std::size_t begin = at + key.size();
      return said->substr(begin, said->find_first_of(" \n", begin) - begin);
    };
    return {name, word_after("nginx version: "), fs::path{word_after("--modules-path=")} / "ngx_http_echo_module.so"};
  }
  return {};
}

std::string configuration(const installed_nginx& nginx, std::uint16_t port) {
  std::string text = fmt::format("load_module {};\n", nginx.echo_module.string());
  // One process, which is the worker: nothing is left behind when it is killed.
  text += R"(daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events { worker_connections )" +
          std::to_string(most_connections) + R"(; }
http {
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  tcp_nodelay on;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:)" +
          std::to_string(port) + R"( backlog=1024;
    location = /status { stub_status; }
)";
  text += fmt::format("    location = /v1/chat/completions {{ return 200 '{}'; }}\n", chat::answer);
  for (const auto& [path, seconds] : {std::pair{"delayed", "0.05"}, {"silent", "3600"}})
    text += fmt::format(
        "    location = /{}/v1/chat/completions {{ echo_read_request_body; echo_sleep {}; echo -n '{}'; }}\n", path,
        seconds, chat::answer);
  return text + "  }\n}\n";
}

/// What the child does: tells its ports, and answers until it is killed.
[[noreturn]] void serve_embedded(int ports_end) noexcept {
  try {
    using model_server::options;
    constexpr int slots = 1'024;
    const model_server::server at_once{options{.slots = slots, .latency = {}, .speed = 1e6}};
    const model_server::server delayed{
        options{.slots = slots, .tokens_per_second = 1e9, .latency = std::chrono::milliseconds{50}}};
    const model_server::server silent{
        options{.slots = slots, .tokens_per_second = 1e9, .latency = std::chrono::hours{1}}};
    const std::array<std::uint16_t, 3> ports{at_once.port(), delayed.port(), silent.port()};
    if (::write(ports_end, ports.data(), sizeof ports) != sizeof ports) ::_exit(1);
    for (;;) ::pause();
  } catch (const std::exception& failure) {
    fmt::print(stderr, "the embedded server: {}\n", failure.what());
    ::_exit(1);
  }
}

}  // namespace

server::server() {
  for (int attempt = 0; attempt < 3; ++attempt) {  // another program may have taken the port
    if (start_nginx()) return;
  }
  start_embedded();
}

bool server::start_nginx() {
  const installed_nginx nginx = find_nginx();
  if (nginx.program.empty() || !fs::exists(nginx.echo_module)) return false;
  const temporary_folder folder;  // what is in it has been read once nginx accepts connections
  const std::string prefix = folder.name() + "/", file = prefix + "nginx.conf";
  const std::uint16_t port = free_port();
  std::ofstream{file} << configuration(nginx, port);

  process_ = fork_bound_to_parent();
  if (process_ == 0) {
    ::execlp(nginx.program.c_str(), nginx.program.c_str(), "-e", "stderr", "-p", prefix.c_str(), "-c", file.c_str(),
             static_cast<char*>(nullptr));
    ::_exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  for (;;) {
    if (::waitpid(process_, nullptr, WNOHANG) == process_) {
      process_ = -1;
      return false;
    }
    if (accepts(port)) break;
    if (std::chrono::steady_clock::now() > deadline) {
      end();
      throw std::runtime_error{"nginx does not answer within 5 s"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  const std::string origin = "http://127.0.0.1:" + std::to_string(port);
  at_once_ = origin + "/v1";
  delayed_ = origin + "/delayed/v1";
  silent_ = origin + "/silent/v1";
  status_ = origin + "/status";
  description_ = nginx.version + ", one process";
  return true;
}

void server::start_embedded() {
  kind_ = kind::embedded;
  int ends[2];
  if (::pipe(ends) != 0) throw_errno("pipe");
  process_ = fork_bound_to_parent();
  if (process_ == 0) {
    serve_embedded(ends[1]);
  }
  ::close(ends[1]);
  std::array<std::uint16_t, 3> ports{};
  const ssize_t got = ::read(ends[0], ports.data(), sizeof ports);
  ::close(ends[0]);
  if (got != sizeof ports) {
    end();
    throw std::runtime_error{"the embedded server does not start"};
  }
  for (const auto& [url, port] : {std::pair{&at_once_, ports[0]}, {&delayed_, ports[1]}, {&silent_, ports[2]}})
    *url = fmt::format("http://127.0.0.1:{}/v1", port);
  description_ = "the model_server of the examples (Debian: apt-get install nginx-light libnginx-mod-http-echo)";
}

server::~server() { end(); }

void server::end() noexcept {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

std::optional<double> server::connections_accepted() const {
  if (status_.empty()) return std::nullopt;
  std::string page;
  CURL* const easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, status_.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &page);
  curl_easy_setopt(
      easy, CURLOPT_WRITEFUNCTION, +[](char* bytes, std::size_t, std::size_t count, void* to) {
        static_cast<std::string*>(to)->append(bytes, count);
        return count;
      });
  const CURLcode outcome = curl_easy_perform(easy);
  curl_easy_cleanup(easy);
  const std::string heading = "requests\n";  // then: accepted handled requests
  const std::size_t at = page.find(heading);
  if (outcome != CURLE_OK || at == std::string::npos) throw std::runtime_error{"nginx does not tell its status"};
  return std::stod(page.substr(at + heading.size()));
}

}  // namespace bench
