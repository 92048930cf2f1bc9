// TimescaleDB under its own licence, compiled to WebAssembly, behind a socket: one connection, nothing on disk.
// Says in one line of JSON where it listens.
import { PGlite } from '@electric-sql/pglite'
import { timescaledb } from '@electric-sql/pglite/timescaledb'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'

const db = await PGlite.create({ extensions: { timescaledb } })
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0 })
server.addEventListener('listening', (event) => console.log(JSON.stringify(event.detail)))
await server.start()
