// SPDX-License-Identifier: MIT
// llm: a JSON text whose parts say where they stand when they are not what was expected.
#include <felix/llm/json_value.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <string>

using felix::json_value;

namespace {

template <class F>
std::string refusal(F&& read) {
  try {
    read();
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::invalid_argument);
    return failure.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("json_value: reads what is there", "[llm][json_value]") {
  const auto value = json_value::parse(
      R"({"city":"Zürich","days":3,"exact":2.0,"part":0.5,"metric":true,"none":null,"list":[1,{"a":"b"}]})");
  CHECK(value["city"].string() == "Zürich");
  CHECK(value["days"].integer() == 3);
  CHECK(value["days"].number() == 3.0);
  CHECK(value["exact"].integer() == 2);
  CHECK(value["part"].number() == 0.5);
  CHECK(value["metric"].boolean());
  CHECK(value["none"].is_null());
  CHECK(value["list"].array().size() == 2);
  CHECK(value["list"].array()[1]["a"].string() == "b");
  CHECK(value.find("other") == nullptr);
  CHECK(value.object().size() == 7);
  CHECK(json_value{}.is_null());
  CHECK(json_value::parse("7").is_number());
  CHECK(json_value::parse("18446744073709551615").number() == 18446744073709551615.0);
  CHECK(json_value::parse("-9223372036854775808").integer() == INT64_MIN);
}

TEST_CASE("json_value: says which part is not what was expected", "[llm][json_value]") {
  const auto value = json_value::parse(R"({"city":7,"places":[{"name":null}],"half":0.5,"big":1e300})");
  CHECK(refusal([&] { static_cast<void>(value["city"].string()); }) == "city: expected a string, it is a number");
  CHECK(refusal([&] { static_cast<void>(value["town"]); }) == "town is missing");
  CHECK(refusal([&] { static_cast<void>(value["places"].array()[0]["name"].string()); }) ==
        "places[0].name: expected a string, it is null");
  CHECK(refusal([&] { static_cast<void>(value["places"].array()[0]["street"]); }) == "places[0].street is missing");
  CHECK(refusal([&] { static_cast<void>(value["half"].integer()); }) ==
        "half: expected a whole number, it is a number");
  CHECK(refusal([&] { static_cast<void>(value["big"].integer()); }) == "big: expected a whole number, it is a number");
  CHECK(refusal([&] { static_cast<void>(value.array()); }) == "the whole: expected an array, it is an object");
  CHECK(refusal([&] { static_cast<void>(value["city"]["x"]); }) == "city: expected an object, it is a number");
  CHECK(refusal([&] { static_cast<void>(value["places"].boolean()); }) ==
        "places: expected true or false, it is an array");
}

TEST_CASE("json_value: what is no JSON is refused", "[llm][json_value]") {
  for (const std::string bad : {"", " ", "{", "{'a':1}", "[1,]", "\"\xFF\"", "nul", "1 2", "{\"a\":1}}"}) {
    CAPTURE(bad);
    CHECK(refusal([&] { static_cast<void>(json_value::parse(bad)); }) == "it is no valid JSON");
  }
  CHECK(refusal([] { static_cast<void>(json_value::parse(R"({"a":1,"b":{"c":1,"c":2}})")); }) == "b.c is there twice");
  const std::string deep(100'000, '[');
  CHECK(refusal([&] { static_cast<void>(json_value::parse(deep + std::string(100'000, ']'))); }) ==
        "it is no valid JSON");
  const std::string deep_enough = std::string(500, '[') + std::string(500, ']');
  CHECK(json_value::parse(deep_enough).text() == deep_enough);
}

TEST_CASE("json_value: two texts that mean the same are the same", "[llm][json_value]") {
  const auto text = [](const char* json) { return json_value::parse(json).text(); };
  CHECK(text(R"( { "b" : 1.0 , "a" : [ true , null ] } )") == R"({"a":[true,null],"b":1})");
  CHECK(text(R"({"a":[true,null],"b":1})") == text(R"({"b":1e0,"a":[true,null]})"));
  CHECK(text(R"({"a":"\u00e9\n"})") == R"({"a":"é\n"})");
  CHECK(text("{}") == "{}");
  CHECK(text("[]") == "[]");
  CHECK(text("[1,2]") != text("[2,1]"));
  CHECK(text("0.1") == "0.1");
  CHECK(text("false") == "false");
}
