// A provider for latchgate in AssemblyScript: it fetches a text and counts it.
//
//     npm install
//     npx asc provider.ts --runtime minimal --use abort= -O -o provider.wasm
//
// The functions and documents are those of docs/provider-abi.md.

/** Called once. 0: the output is the result; anything else: it is the error. */
export function execute(): i32 {
  const input = String.UTF8.decode(read(input_size(), input_read));
  const url = stringMember(input, "url");
  if (url == null) return fail("the argument url is missing");

  // There is no credential to add: latchgate does that on the way.
  const request = String.UTF8.encode(`{"method":"GET","url":"${url}","headers":[["accept","text/plain"]]}`);
  const answered = http_request(changetype<usize>(request), request.byteLength, 0, 0);
  if (answered == -4) return fail("the upstream took too long");
  if (answered < 0) return fail("the request failed");
  const response = String.UTF8.decode(read(answered, response_read));
  if (!response.startsWith('{"status":200,')) return fail("the upstream did not answer with 200");

  const text = Uint8Array.wrap(read(body_size(), body_read));
  info("the text is there");
  let lines = 0, words = 0, inside = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    const space = c == 32 || (c >= 9 && c <= 13);
    if (c == 10) lines++;
    if (!space && !inside) words++;
    inside = !space;
  }
  write(`{"ok":true,"lines":${lines},"words":${words},"bytes":${text.length}}`);
  return 0;
}

function fail(message: string): i32 {
  write(`{"error":{"code":"count_failed","message":"${message}"}}`);
  return 1;
}

/** The member of a document as it is written between its quotes. Enough for a URL; use a JSON library for anything else. */
function stringMember(doc: string, name: string): string | null {
  const key = `"${name}":"`;
  const at = doc.indexOf(key);
  if (at < 0) return null;
  const start = at + key.length;
  const member = doc.substring(start, doc.indexOf('"', start));
  return member.includes("\\") ? null : member;
}

// The rest is the same in every provider.

function read(size: i32, from: (buf: usize, size: i32) => i32): ArrayBuffer {
  const buf = new ArrayBuffer(max(size, 0));
  return buf.slice(0, max(from(changetype<usize>(buf), buf.byteLength), 0));
}

function write(doc: string): void {
  const bytes = String.UTF8.encode(doc);
  output_write(changetype<usize>(bytes), bytes.byteLength);
}

function info(msg: string): void {
  const bytes = String.UTF8.encode(msg);
  log(1, changetype<usize>(bytes), bytes.byteLength);
}

@external("latchgate", "input_size") declare function input_size(): i32;
@external("latchgate", "input_read") declare function input_read(buf: usize, size: i32): i32;
@external("latchgate", "http_request") declare function http_request(head: usize, headSize: i32, body: usize, bodySize: i32): i32;
@external("latchgate", "response_read") declare function response_read(buf: usize, size: i32): i32;
@external("latchgate", "body_size") declare function body_size(): i32;
@external("latchgate", "body_read") declare function body_read(buf: usize, size: i32): i32;
@external("latchgate", "output_write") declare function output_write(doc: usize, size: i32): i32;
@external("latchgate", "log") declare function log(level: i32, msg: usize, size: i32): i32;
