// promptctl encoder list|show
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(
      const auto reply,
      session.api.Call(session.api.encoders(), &EncoderStub::ListEncoders,
                       v1::ListEncodersRequest()));
  if (session.console.json()) {
    session.console.Json(ToJson(reply)["encoders"]);
    return absl::OkStatus();
  }
  Table table({"NAME", "DIGEST", "IMAGE", "EMBED", "PARAMETERS", "NOTE"});
  for (const v1::Encoder& encoder : reply.encoders()) {
    table.Add({encoder.name(), ShortDigest(encoder.digest()),
               absl::StrCat(encoder.image_size(), " px"),
               absl::StrCat(encoder.embed_dim()),
               absl::StrFormat(
                   "%.1f M", 1e-6 * static_cast<double>(encoder.parameters())),
               encoder.demonstration() ? "small demonstration encoder" : ""});
  }
  session.console.out() << table.ToString();
  return absl::OkStatus();
}

absl::Status Show(Session& session, const std::string& name) {
  v1::GetEncoderRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(const v1::Encoder encoder,
                   session.api.Call(session.api.encoders(),
                                    &EncoderStub::GetEncoder, request));
  if (session.console.json()) {
    session.console.Json(ToJson(encoder));
    return absl::OkStatus();
  }
  session.console.out() << KeyValues(
      {{"encoder", encoder.name()},
       {"digest", encoder.digest()},
       {"image size", absl::StrCat(encoder.image_size(), " pixels, square")},
       {"embedding", absl::StrCat(encoder.embed_dim())},
       {"text width", absl::StrCat(encoder.text_width())},
       {"context length", absl::StrCat(encoder.context_length(), " tokens")},
       {"logit scale", absl::StrFormat("%.4g", encoder.logit_scale())},
       {"parameters", absl::StrCat(encoder.parameters())},
       {"kind", encoder.demonstration()
                    ? "small demonstration encoder: import a real one with "
                      "`promptd --encoder DIR`"
                    : "imported"}});
  return absl::OkStatus();
}

}  // namespace

void AddEncoderVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "encoder", "The frozen CLIP encoders");
  CLI::App* list = noun->add_subcommand("list", "All encoders of the server");
  list->callback([chosen] { *chosen = List; });
  CLI::App* show = noun->add_subcommand("show", "One encoder");
  auto name = std::make_shared<std::string>();
  show->add_option("name", *name, "The encoder's name")->required();
  show->footer("Example:\n  promptctl encoder show embedded");
  show->callback([chosen, name] {
    *chosen = [name](Session& session) { return Show(session, *name); };
  });
}

}  // namespace promptd::client
