// Reads lines of a JSON message and the same message in base64 of fx.v1.pb, which belong to one
// connection. Prints what the decoder of the page makes of them if that differs.
import { readFileSync } from 'node:fs';
import { Decoder } from '../../clients/js/src/binary.js';

let decoder = new Decoder();
let broken = new Decoder();
let seed = 1;
const random = (n) => (seed = (seed * 48271) % 2147483647) % n;

for (const line of readFileSync(0, 'utf8').split('\n')) {
  if (line === '') {
    decoder = new Decoder(); // another connection
    broken = new Decoder();
    continue;
  }
  const [want, base64] = line.split('\t');
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
  let got;
  try {
    got = JSON.stringify(decoder.decode(bytes.buffer));
  } catch (e) {
    got = String(e);
  }
  if (got !== want) {
    console.log(`${got}\nwant\n${want}\n${base64}`);
    process.exit(1);
  }
  // A damaged message is refused by an error, or decoded as something else.
  for (let i = 0; i < 3; i++) {
    const damaged = bytes.slice(0, random(8) ? bytes.length : random(bytes.length + 1));
    for (let n = random(4); n >= 0 && damaged.length > 0; n--) damaged[random(damaged.length)] = random(256);
    try {
      broken.decode(damaged.buffer);
    } catch (e) {
      if (e instanceof Error) broken = new Decoder();
      else throw e;
    }
  }
}
console.log('ok');
