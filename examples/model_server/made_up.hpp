// SPDX-License-Identifier: MIT
// model_server: a value that a JSON schema allows.
#pragma once

#include "model_server/json_fields.hpp"
#include "model_server/prose.hpp"  // random_numbers

namespace model_server::detail {

/// An object has its required properties, in their order. Honoured are type, properties, required, items, minItems,
/// enum, const, anyOf, oneOf, allOf (the first of each), $ref within the schema, minimum, maximum and their exclusive
/// forms, minLength, maxLength, and the formats date, date-time, email, uri and uuid. Null where it gets too deep.
[[nodiscard]] ordered_json made_up(const json& schema, random_numbers& random);

}  // namespace model_server::detail
