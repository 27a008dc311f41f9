// SPDX-License-Identifier: MIT
// llm: a chat request and its answer.
#pragma once

#include <felix/llm/chat_message.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
