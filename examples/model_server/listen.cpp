// SPDX-License-Identifier: MIT
// model_server: we listen ourselves because MHD would not say why it could not.
#include "model_server/listen.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace model_server::detail {

namespace {

struct free_addresses {
  void operator()(addrinfo* first) const noexcept { ::freeaddrinfo(first); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

addresses resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0)
    throw std::system_error{std::make_error_code(std::errc::address_not_available),
                            "model_server: host \"" + host + "\": " + ::gai_strerror(failure)};
  return addresses{found};
}

}  // namespace

descriptor listen_on(const std::string& host, std::uint16_t port) {
  const addresses found = resolve(host, port);
  const addrinfo& address = *found;  // the first is the one that a client would try first
  descriptor listening{
      ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol)};
  const int yes = 1;  // a port whose last connections are in TIME_WAIT is free
  if (listening.get() < 0 || ::setsockopt(listening.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(listening.get(), address.ai_addr, address.ai_addrlen) != 0 || ::listen(listening.get(), SOMAXCONN) != 0)
    throw std::system_error{errno, std::generic_category(),
                            "model_server: cannot listen on " + host + ":" + std::to_string(port)};
  return listening;
}

std::uint16_t port_of(const descriptor& listening) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::system_error{errno, std::generic_category(), "model_server: getsockname"};
  const auto port = address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                                                  : reinterpret_cast<const sockaddr_in*>(&address)->sin_port;
  return ntohs(port);
}

std::string authority(const std::string& host, std::uint16_t port) {
  const std::string reachable = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host;
  const bool brackets = reachable.find(':') != std::string::npos;
  return (brackets ? "[" + reachable + "]" : reachable) + ":" + std::to_string(port);
}

}  // namespace model_server::detail
