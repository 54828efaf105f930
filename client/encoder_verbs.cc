// promptctl encoder import|list|show; verify and remove have their own files
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/encoder_import.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/encoder.grpc.pb.h"

namespace promptd::client {
namespace {

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(const auto reply,
                   session.api.Call(&v1::EncoderService::Stub::ListEncoders,
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
  ASSIGN_OR_RETURN(
      const v1::Encoder encoder,
      session.api.Call(&v1::EncoderService::Stub::GetEncoder, request));
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
       {"computes in", encoder.precision()},
       {"kind", encoder.demonstration()
                    ? "small demonstration encoder: import a real one with "
                      "`promptctl encoder import`"
                    : "imported"}});
  return absl::OkStatus();
}

absl::Status Import(Session& session, const EncoderImport& import) {
  session.console.Note(absl::StrCat("reading ", import.source));
  ASSIGN_OR_RETURN(const ImportReport report, ImportEncoder(import));
  if (session.console.json()) {
    session.console.Json({{"name", import.name},
                          {"digest", report.digest},
                          {"folder", report.folder},
                          {"format", report.format},
                          {"image_tower", report.image_tower},
                          {"image_size", report.image_size},
                          {"embed_dim", report.embed_dim},
                          {"parameters", report.parameters}});
    return absl::OkStatus();
  }
  session.console.out() << KeyValues(
      {{"encoder", import.name},
       {"digest", report.digest},
       {"read as", report.format},
       {"image tower", report.image_tower},
       {"image size", absl::StrCat(report.image_size, " pixels, square")},
       {"embedding", absl::StrCat(report.embed_dim)},
       {"parameters", absl::StrCat(report.parameters)},
       {"folder", report.folder}});
  session.console.Note(
      "promptd loads it at its next start on this data "
      "folder.");
  return absl::OkStatus();
}

void AddImport(CLI::App* noun, Action* chosen) {
  CLI::App* verb = noun->add_subcommand(
      "import", "Make an encoder of a CLIP checkpoint on this machine");
  auto import = std::make_shared<EncoderImport>();
  verb->add_option("source", import->source,
                   "OpenAI's .pt; OpenCLIP's .safetensors, .bin or .pt, or its "
                   "folder; a Hugging Face CLIPModel folder")
      ->required();
  verb->add_option("--name,-n", import->name,
                   "The encoder's name: 1 to 64 of a-z 0-9 . _ -")
      ->required();
  verb->add_option("--activation", import->activation,
                   "What the weights were trained with, where the file does "
                   "not tell: gelu or quickgelu")
      ->check(CLI::IsMember({"gelu", "quickgelu"}));
  verb->add_option("--data-dir", import->data_dir,
                   "promptd's data folder on this machine "
                   "(~/.local/share/promptd)")
      ->envname("PROMPTD_DATA_DIR");
  verb->footer(
      "Nothing in the file is run: pickles are read by an inert reader.\n"
      "Example:\n  promptctl encoder import ViT-B-32.pt --name vit-b-32");
  verb->callback([chosen, import] {
    *chosen = [import](Session& session) { return Import(session, *import); };
  });
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
  AddImport(noun, chosen);
  AddEncoderVerify(noun, chosen);
  AddEncoderRemove(noun, chosen);
}

}  // namespace promptd::client
