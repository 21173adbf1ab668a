/*
 * redact_table.h - the secrets that are known by their form. Private to the redactor.
 *
 * To add one whose form is a prefix and a run of characters, add a row (and an
 * anchor when its first three characters are new): search, masking and
 * documentation follow from it.
 */
#ifndef AO_REDACT_TABLE_H
#define AO_REDACT_TABLE_H

#include "core/base.h"

/* Classes of characters, as bits. */
#define AO_C_UPPER 0x01u
#define AO_C_LOWER 0x02u
#define AO_C_DIGIT 0x04u
#define AO_C_HEX 0x08u   /* 0-9 a-f */
#define AO_C_DASH 0x10u
#define AO_C_UNDER 0x20u
#define AO_C_DOT 0x40u
#define AO_C_BASE64 0x80u /* + / = */
#define AO_C_ALNUM (AO_C_UPPER | AO_C_LOWER | AO_C_DIGIT)
#define AO_C_WORD (AO_C_ALNUM | AO_C_DASH | AO_C_UNDER)

/*
 * Three characters that lie in every secret of a kind; letters stand for both
 * cases. The search looks for nothing else, so they should be rare in text.
 */
#define AO_REDACT_ANCHORS(X)                                                                         \
    X(SK_DASH, 's', 'k', '-') X(SK_UNDER, 's', 'k', '_') X(RK_UNDER, 'r', 'k', '_')                  \
    X(GHP, 'g', 'h', 'p') X(GHO, 'g', 'h', 'o') X(GHU, 'g', 'h', 'u') X(GHS, 'g', 'h', 's')          \
    X(GHR, 'g', 'h', 'r') X(GIT, 'g', 'i', 't') X(GLP, 'g', 'l', 'p') X(AKI, 'a', 'k', 'i')          \
    X(ASI, 'a', 's', 'i') X(AIZ, 'a', 'i', 'z') X(GOC, 'g', 'o', 'c') X(YA2, 'y', 'a', '2')          \
    X(XOX, 'x', 'o', 'x') X(XAP, 'x', 'a', 'p') X(WHS, 'w', 'h', 's') X(NPM, 'n', 'p', 'm')          \
    X(PYP, 'p', 'y', 'p') X(HF, 'h', 'f', '_') X(E2B, 'e', '2', 'b') X(BT, 'b', 't', '-')            \
    X(GSK, 'g', 's', 'k') X(XAI, 'x', 'a', 'i') X(LSV, 'l', 's', 'v') X(SG, 's', 'g', '.')           \
    X(DCK, 'd', 'c', 'k') X(DOP, 'd', 'o', 'p') X(TVL, 't', 'v', 'l') X(R8, 'r', '8', '_')           \
    X(PPL, 'p', 'p', 'l') X(EYJ, 'e', 'y', 'j') X(BEARER, 'b', 'e', 'a') X(PEM, '-', '-', 'b')       \
    X(URL, ':', '/', '/') X(URL_ESCAPED, ':', '\\', '/') X(PASSWORD, 's', 's', 'w')                  \
    X(PASSPHRASE, 's', 's', 'p') X(SECRET, 's', 'e', 'c') X(TOKEN, 't', 'o', 'k')                    \
    X(KEY, 'k', 'e', 'y') X(AUTHORIZATION, 'r', 'i', 'z')

enum ao_redact_anchor {
    AO_ANCHOR_NONE,
#define AO_ANCHOR_ENUM(name, a, b, c) AO_ANCHOR_##name,
    AO_REDACT_ANCHORS(AO_ANCHOR_ENUM)
#undef AO_ANCHOR_ENUM
};

/*
 * A prefix that begins a word, and at least `min` characters of a class behind
 * it. Of rows with the same anchor the first that fits names the secret.
 */
/*    name           anchor    prefix          class                                 min  what */
#define AO_REDACT_TOKENS(X)                                                                              \
    X("anthropic",   SK_DASH,  "sk-ant-",      AO_C_WORD,                            16, "Anthropic API keys and OAuth tokens") \
    X("openai",      SK_DASH,  "sk-proj-",     AO_C_WORD,                            16, "OpenAI project keys") \
    X("openai",      SK_DASH,  "sk-svcacct-",  AO_C_WORD,                            16, "OpenAI service account keys") \
    X("openai",      SK_DASH,  "sk-admin-",    AO_C_WORD,                            16, "OpenAI admin keys") \
    X("langfuse",    SK_DASH,  "sk-lf-",       AO_C_WORD,                            16, "Langfuse secret keys; the public pk-lf- are left") \
    X("openrouter",  SK_DASH,  "sk-or-",       AO_C_WORD,                            16, "OpenRouter keys") \
    X("api-key",     SK_DASH,  "sk-",          AO_C_ALNUM,                           20, "keys of OpenAI, Braintrust, DeepSeek and others") \
    X("braintrust",  BT,       "bt-st-",       AO_C_WORD,                            16, "Braintrust service tokens") \
    X("e2b",         E2B,      "e2b_",         AO_C_HEX,                             32, "E2B API keys") \
    X("e2b",         SK_UNDER, "sk_e2b_",      AO_C_HEX,                             32, "E2B access tokens") \
    X("github",      GHP,      "ghp_",         AO_C_ALNUM | AO_C_UNDER,              30, "GitHub personal access tokens") \
    X("github",      GHO,      "gho_",         AO_C_ALNUM | AO_C_UNDER,              30, "GitHub OAuth tokens") \
    X("github",      GHU,      "ghu_",         AO_C_ALNUM | AO_C_UNDER,              30, "GitHub user-to-server tokens") \
    X("github",      GHS,      "ghs_",         AO_C_ALNUM | AO_C_UNDER,              30, "GitHub server-to-server tokens") \
    X("github",      GHR,      "ghr_",         AO_C_ALNUM | AO_C_UNDER,              30, "GitHub refresh tokens") \
    X("github",      GIT,      "github_pat_",  AO_C_ALNUM | AO_C_UNDER,              22, "GitHub fine-grained tokens") \
    X("gitlab",      GLP,      "glpat-",       AO_C_WORD,                            20, "GitLab personal access tokens") \
    X("aws",         AKI,      "AKIA",         AO_C_UPPER | AO_C_DIGIT,              16, "AWS access key ids") \
    X("aws",         ASI,      "ASIA",         AO_C_UPPER | AO_C_DIGIT,              16, "AWS temporary access key ids") \
    X("google",      AIZ,      "AIza",         AO_C_WORD,                            30, "Google API keys") \
    X("google",      GOC,      "GOCSPX-",      AO_C_WORD,                            20, "Google OAuth client secrets") \
    X("google",      YA2,      "ya29.",        AO_C_WORD | AO_C_DOT,                 20, "Google OAuth access tokens") \
    X("slack",       XOX,      "xoxa-",        AO_C_ALNUM | AO_C_DASH,               10, "Slack tokens") \
    X("slack",       XOX,      "xoxb-",        AO_C_ALNUM | AO_C_DASH,               10, "Slack bot tokens") \
    X("slack",       XOX,      "xoxp-",        AO_C_ALNUM | AO_C_DASH,               10, "Slack user tokens") \
    X("slack",       XOX,      "xoxr-",        AO_C_ALNUM | AO_C_DASH,               10, "Slack refresh tokens") \
    X("slack",       XOX,      "xoxs-",        AO_C_ALNUM | AO_C_DASH,               10, "Slack session tokens") \
    X("slack",       XAP,      "xapp-",        AO_C_ALNUM | AO_C_DASH,               20, "Slack app tokens") \
    X("stripe",      SK_UNDER, "sk_live_",     AO_C_ALNUM,                           16, "Stripe secret keys") \
    X("stripe",      SK_UNDER, "sk_test_",     AO_C_ALNUM,                           16, "Stripe secret test keys") \
    X("stripe",      RK_UNDER, "rk_live_",     AO_C_ALNUM,                           16, "Stripe restricted keys") \
    X("stripe",      RK_UNDER, "rk_test_",     AO_C_ALNUM,                           16, "Stripe restricted test keys") \
    X("stripe",      WHS,      "whsec_",       AO_C_ALNUM | AO_C_BASE64,             16, "Stripe and Svix webhook secrets") \
    X("npm",         NPM,      "npm_",         AO_C_ALNUM,                           30, "npm access tokens") \
    X("pypi",        PYP,      "pypi-",        AO_C_WORD,                            50, "PyPI API tokens") \
    X("huggingface", HF,       "hf_",          AO_C_ALNUM,                           30, "Hugging Face tokens") \
    X("groq",        GSK,      "gsk_",         AO_C_ALNUM,                           30, "Groq keys") \
    X("xai",         XAI,      "xai-",         AO_C_ALNUM,                           40, "xAI keys") \
    X("perplexity",  PPL,      "pplx-",        AO_C_ALNUM,                           30, "Perplexity keys") \
    X("tavily",      TVL,      "tvly-",        AO_C_WORD,                            20, "Tavily keys") \
    X("replicate",   R8,       "r8_",          AO_C_ALNUM,                           30, "Replicate tokens") \
    X("langsmith",   LSV,      "lsv2_",        AO_C_ALNUM | AO_C_UNDER,              30, "LangSmith keys") \
    X("sendgrid",    SG,       "SG.",          AO_C_WORD | AO_C_DOT,                 50, "SendGrid keys") \
    X("docker",      DCK,      "dckr_pat_",    AO_C_WORD,                            20, "Docker Hub tokens") \
    X("digitalocean", DOP,     "dop_v1_",      AO_C_HEX,                             40, "DigitalOcean tokens")

/* The secrets that are known by more than a prefix. */
#define AO_REDACT_SPECIALS(X)                                                                            \
    X("jwt",           "eyJ....eyJ....x",              "JSON Web Tokens, signed")                        \
    X("bearer",        "Bearer x",                     "what follows the word Bearer, with a digit, from 16 characters") \
    X("private-key",   "-----BEGIN ... PRIVATE KEY-----", "PEM blocks, up to their end or as far as they go") \
    X("url-password",  "scheme://user:x@host",         "the password in a connection string")            \
    X("authorization", "authorization: x",             "the credentials of an Authorization header, behind the scheme") \
    X("password",      "password, passwd, passphrase", "the value of a name that ends so; see below")     \
    X("secret",        "secret",                       "the value of a name that ends so")               \
    X("token",         "token",                        "the value of a name that ends so, from 8 characters in quotes") \
    X("key",           "api_key, access_key, private_key, secret_key, auth_key, signing_key, encryption_key, master_key", \
      "the value of a name that ends so, with '_', '-' or nothing between the words")

#endif
