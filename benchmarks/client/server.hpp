// SPDX-License-Identifier: MIT
// benchmarks: the server that all clients talk to, in a process of its own on 127.0.0.1.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace bench {

/// nginx with one worker, which answers from memory; where it is not installed (or has no echo module, which delays
/// answers) the model_server of the examples, whose texts are longer. Its process ends with this object, and with the
/// thread that made it, however that ends; no file is left.
/// Throws:  std::runtime_error when neither starts.
class server {
 public:
  enum class kind : unsigned char { nginx, embedded };

  server();
  server(server&&) = delete;
  ~server();

  /// Base URLs: what follows is /chat/completions.
  [[nodiscard]] const std::string& at_once() const noexcept { return at_once_; }
  [[nodiscard]] const std::string& delayed() const noexcept { return delayed_; }  ///< by 50 ms
  [[nodiscard]] const std::string& silent() const noexcept { return silent_; }    ///< answers after an hour
  [[nodiscard]] kind runs() const noexcept { return kind_; }
  /// For people: which server it is.
  [[nodiscard]] const std::string& description() const noexcept { return description_; }

  /// How many connections it has accepted so far, with the one that asks; only nginx counts them.
  [[nodiscard]] std::optional<double> connections_accepted() const;

 private:
  bool start_nginx();
  void start_embedded();
  void end() noexcept;

  kind kind_ = kind::nginx;
  pid_t process_ = -1;
  std::string at_once_, delayed_, silent_, status_, description_;
};

}  // namespace bench
