// A server that ends as a careful Node program does: on SIGTERM it stops listening, ends the connections
// that are idle, and announces with each answer still due that its connection ends, too. It notes each
// request that it applies.
const fs = require("node:fs");
const http = require("node:http");

const ledger = fs.openSync(process.env.OVERLOAD_LEDGER, "a");
const work = Number(process.env.OVERLOAD_WORK_MS);
let ending = false;
const server = http.createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    const id = request.headers[process.env.OVERLOAD_ID_FIELD];
    if (id !== undefined) fs.writeSync(ledger, `${id}\n`);
    setTimeout(() => {
      if (ending) response.setHeader("Connection", "close");
      response.end("applied\n");
    }, work);
  });
});
process.on("SIGTERM", () => {
  ending = true;
  server.close(() => process.exit(0));
  // A connection that brought nothing yet counts as busy.
  setTimeout(() => server.closeAllConnections(), 2000);
});
server.listen(Number(process.env.OVERLOAD_PORT), "127.0.0.1", 4096);
