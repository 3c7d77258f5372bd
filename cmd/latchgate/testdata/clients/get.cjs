// Get a URL with the named client and print all that came back. Nothing here
// speaks of a proxy, a certificate or a credential: what makes it work is the
// environment.
'use strict';
const [name, url] = process.argv.slice(2);

const clients = {
  async fetch() {
    const answer = await fetch(url);
    return [answer.status, [...answer.headers], await answer.text()];
  },
  https: () => new Promise((resolve, reject) => {
    require('https').get(url, (answer) => {
      let text = '';
      answer.on('data', (chunk) => { text += chunk; }).on('end', () => resolve([answer.statusCode, answer.headers, text]));
    }).on('error', reject);
  }),
  async axios() {
    const answer = await require('axios').get(url);
    return [answer.status, answer.headers, JSON.stringify(answer.data)];
  },
  async undici() {
    const answer = await require('undici').request(url);
    return [answer.statusCode, answer.headers, await answer.body.text()];
  },
};

clients[name]().then(([status, head, body]) => {
  console.log(JSON.stringify(head), body);
  process.exitCode = status === 200 ? 0 : 1;
}, (err) => {
  console.error(err);
  process.exitCode = 1;
});
