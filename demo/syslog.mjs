// A syslog server for the demo: appends each datagram to a file, one a line.  node syslog.mjs FILE
//
// Its first line on stdout is its port on loopback.

import { createSocket } from 'node:dgram';
import { appendFileSync, writeFileSync } from 'node:fs';

const file = process.argv[2];
writeFileSync(file, '');
const socket = createSocket('udp4');
socket.on('message', (record) => appendFileSync(file, `${record}\n`));
socket.bind(0, '127.0.0.1', () => console.log(socket.address().port));
