/*
 * Writes flow records with lists by libfixbuf, as its flow meters do: strings in a basicList, answers of a name server in a
 * subTemplateList, and both kinds of sub-records in a subTemplateMultiList, one of them with a basicList inside.
 * Arguments: the file to write and how many records. What it wrote it prints, a JSON object a line.
 */
#include <fixbuf/public.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTERPRISE 4711
#define ANSWER_TID 500
#define CERTIFICATE_TID 501
#define FLOW_TID 502

/* Elements that nobody knows: the file describes them (RFC 5610). */
static fbInfoElement_t elements[] = {
    FB_IE_INIT_FULL("answerName", ENTERPRISE, 201, FB_IE_VARLEN, 0, 0, 0, FB_STRING, NULL),
    FB_IE_INIT_FULL("answerLifetime", ENTERPRISE, 202, 8, FB_IE_F_ENDIAN | FB_UNITS_SECONDS, 0, 0, FB_UINT_64, NULL),
    FB_IE_INIT_FULL("certificateSerial", ENTERPRISE, 203, 8, FB_IE_F_ENDIAN, 0, 0, FB_UINT_64, NULL),
    FB_IE_NULL};

typedef struct {
    fbVarfield_t name;
    uint64_t lifetime;
} answer_t;

static fbInfoElementSpec_t answer_spec[] = {
    {"answerName", FB_IE_VARLEN, 0}, {"answerLifetime", 8, 0}, FB_IESPEC_NULL};

typedef struct {
    uint64_t serial;
    fbBasicList_t names;
} certificate_t;

static fbInfoElementSpec_t certificate_spec[] = {
    {"certificateSerial", 8, 0}, {"basicList", FB_IE_VARLEN, 0}, FB_IESPEC_NULL};

typedef struct {
    uint64_t start;
    uint64_t octets;
    fbBasicList_t names;
    fbSubTemplateList_t answers;
    fbSubTemplateMultiList_t more;
    uint32_t source;
    uint32_t destination;
    uint16_t source_port;
    uint16_t destination_port;
    uint8_t protocol;
    uint8_t padding[3];
} flow_t;

static fbInfoElementSpec_t flow_spec[] = {
    {"flowStartMilliseconds", 8, 0}, {"octetTotalCount", 8, 0}, {"basicList", FB_IE_VARLEN, 0},
    {"subTemplateList", FB_IE_VARLEN, 0}, {"subTemplateMultiList", FB_IE_VARLEN, 0},
    {"sourceIPv4Address", 4, 0}, {"destinationIPv4Address", 4, 0}, {"sourceTransportPort", 2, 0},
    {"destinationTransportPort", 2, 0}, {"protocolIdentifier", 1, 0}, {"paddingOctets", 3, 1}, FB_IESPEC_NULL};

static GError *error;

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, error ? error->message : "failed");
        exit(1);
    }
}

static fbTemplate_t *add(fbInfoModel_t *model, fbSession_t *session, fbInfoElementSpec_t *spec, uint16_t tid)
{
    /* In memory with the padding, in the file without it. */
    fbTemplate_t *inside = fbTemplateAlloc(model), *outside = fbTemplateAlloc(model);
    check(fbTemplateAppendSpecArray(inside, spec, 0xffffffff, &error), "fields in memory");
    check(fbTemplateAppendSpecArray(outside, spec, 0, &error), "fields in the file");
    check(fbSessionAddTemplate(session, TRUE, tid, inside, &error), "template in memory");
    check(fbSessionAddTemplate(session, FALSE, tid, outside, &error), "template in the file");
    return inside;
}

static void text(fbVarfield_t *field, const char *format, unsigned number)
{
    char buffer[400];
    field->len = (size_t)snprintf(buffer, sizeof(buffer), format, number);
    field->buf = (uint8_t *)g_strdup(buffer);
}

/* A basicList of `count` names, the last of 300 octets. */
static void names(fbInfoModel_t *model, fbBasicList_t *list, uint8_t semantic, unsigned count, unsigned number)
{
    const fbInfoElement_t *element = fbInfoModelGetElementByName(model, "interfaceName");
    fbVarfield_t *name = fbBasicListInit(list, semantic, element, (uint16_t)count);
    printf("[");
    for (unsigned place = 0; place < count; place++, name++) {
        if (place + 1 == count && count > 2)
            text(name, "%0300u", number);
        else
            text(name, place ? "näme-%u" : "", number);
        printf("%s\"%.*s\"", place ? "," : "", (int)name->len, (const char *)name->buf);
    }
    printf("]");
}

static void answers(answer_t *answer, unsigned count, unsigned number)
{
    for (unsigned place = 0; place < count; place++, answer++) {
        text(&answer->name, "host-%u.example", number + place);
        answer->lifetime = 4294967296u + number;
        printf("%s{\"answerName\":\"%.*s\",\"answerLifetime\":%" PRIu64 "}", place ? "," : "", (int)answer->name.len,
               (const char *)answer->name.buf, answer->lifetime);
    }
}

int main(int count, char **arguments)
{
    check(count == 3, "usage: FILE RECORDS");
    fbInfoModel_t *model = fbInfoModelAlloc();
    fbInfoModelAddElementArray(model, elements);
    fbSession_t *session = fbSessionAlloc(model);
    fbSessionSetDomain(session, 77);
    check(fbSessionSetMetadataExportElements(session, TRUE, 600, &error), "descriptions of elements");
    fbTemplate_t *answer_template = add(model, session, answer_spec, ANSWER_TID);
    fbTemplate_t *certificate_template = add(model, session, certificate_spec, CERTIFICATE_TID);
    add(model, session, flow_spec, FLOW_TID);
    fBuf_t *buffer = fBufAllocForExport(session, fbExporterAllocFile(arguments[1]));
    check(fbSessionExportTemplates(session, &error), "templates");
    check(fBufSetInternalTemplate(buffer, FLOW_TID, &error), "records in memory");
    check(fBufSetExportTemplate(buffer, FLOW_TID, &error), "records in the file");

    unsigned records = (unsigned)atoi(arguments[2]);
    for (unsigned number = 0; number < records; number++) {
        flow_t flow;
        memset(&flow, 0, sizeof(flow));
        flow.start = 1763000000000u + number;
        flow.octets = ((uint64_t)1 << 40) + number;
        flow.source = 0x0a000000 + number;
        flow.destination = 0xc0000201;
        flow.source_port = (uint16_t)(40000 + number);
        flow.destination_port = 443;
        flow.protocol = 6;
        printf("{\"flowStartMilliseconds\":%" PRIu64 ",\"octetTotalCount\":%" PRIu64
               ",\"sourceIPv4Address\":\"10.0.0.%u\",\"destinationIPv4Address\":\"192.0.2.1\",\"sourceTransportPort\":%u,"
               "\"destinationTransportPort\":443,\"protocolIdentifier\":6,\"basicList\":",
               flow.start, flow.octets, number, 40000 + number);
        names(model, &flow.names, 3, number % 4, number);
        printf(",\"subTemplateList\":[");
        unsigned some = number % 3;
        answers(fbSubTemplateListInit(&flow.answers, 4, ANSWER_TID, answer_template, (uint16_t)some), some, number);
        printf("],\"subTemplateMultiList\":[");
        unsigned kinds = number % 3;
        fbSubTemplateMultiListEntry_t *entry = fbSubTemplateMultiListInit(&flow.more, 2, (uint16_t)kinds);
        if (kinds > 0) {
            answers(fbSubTemplateMultiListEntryInit(entry, ANSWER_TID, answer_template, 2), 2, 100 + number);
            entry = fbSubTemplateMultiListGetNextEntry(&flow.more, entry);
        }
        if (kinds > 1) {
            certificate_t *certificate =
                fbSubTemplateMultiListEntryInit(entry, CERTIFICATE_TID, certificate_template, 1);
            certificate->serial = 0x0102030405060708u + number;
            printf(",{\"certificateSerial\":%" PRIu64 ",\"basicList\":", certificate->serial);
            names(model, &certificate->names, 1, number % 5, number);
            printf("}");
        }
        printf("]}\n");
        check(fBufAppend(buffer, (uint8_t *)&flow, sizeof(flow), &error), "a record");
        fbBasicListClear(&flow.names);
        fbSubTemplateListClear(&flow.answers);
        fbSubTemplateMultiListClear(&flow.more);
    }
    check(fBufEmit(buffer, &error), "the last message");
    fBufFree(buffer);
    return 0;
}
