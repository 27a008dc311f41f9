// SPDX-License-Identifier: MIT
// model_server: how a chat's answer gets to its client: at once, token by token, or as a fault has it.
#pragma once

#include "model_server/chat_answer.hpp"
#include "model_server/faults.hpp"
#include "model_server/slots.hpp"

#include <microhttpd.h>

#include <cstddef>
#include <memory>
#include <string>

namespace model_server::detail {

/// One answer, from its request to its last byte.
/// Threads:  MHD's alone.
/// Lifetime: until MHD has completed the request; so does `struck`.
class delivery {
 public:
  /// Chooses nothing: `struck` is the fault that hits it, or null. Time in `struck` is divided by `speed`.
  delivery(slots& all_slots, answer_head head, completion given, bool stream, const fault* struck, double speed);
  delivery(delivery&&) = delete;  // MHD's response points here
  ~delivery();

  /// Queues it for its slots, and sends what can be sent. MHD_NO closes the connection.
  [[nodiscard]] MHD_Result begin(MHD_Connection* connection);
  /// Whenever its connection is resumed before it has a response.
  [[nodiscard]] MHD_Result go_on();

 private:
  static ssize_t on_read(void* self, std::uint64_t position, char* buffer, std::size_t size) noexcept;
  ssize_t read(char* buffer, std::size_t size);
  ssize_t refill();
  ssize_t break_off();
  void tell(int steps);
  [[nodiscard]] std::size_t next_piece() const noexcept;
  [[nodiscard]] MHD_Result respond_whole();
  [[nodiscard]] MHD_Result respond_in_parts(std::uint64_t size, const char* content_type);
  [[nodiscard]] bool is(fault_kind kind) const noexcept { return struck_ != nullptr && struck_->kind == kind; }
  [[nodiscard]] bool breaks() const noexcept { return breaks_at_ != work::never; }

  slots& slots_;
  const answer_head head_;
  const completion given_;
  const bool stream_;
  const fault* const struck_;
  const double speed_;
  const int steps_;
  const int breaks_at_;
  const steady::duration between_pieces_;

  MHD_Connection* connection_ = nullptr;
  std::shared_ptr<slots::ticket> ticket_{};
  int told_ = 0;  // steps
  std::string unsent_{};
  std::size_t unsent_at_ = 0;
  bool split_an_event_ = false;
  bool has_paused_ = true;     // before the piece that is next; the first one needs none
  bool only_the_end_ = false;  // comes after what is unsent
};

/// RST, at once: what the client has not got yet is lost.
void reset_connection(MHD_Connection* connection) noexcept;

}  // namespace model_server::detail
