// The reference client of the Model Context Protocol, from npm. Its arguments
// are the command of a server, a tool and that tool's arguments as JSON; it
// prints what it saw as JSON. It validates what it gets by the protocol's schemas.
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { ToolListChangedNotificationSchema } = require("@modelcontextprotocol/sdk/types.js");

async function main([command, tool, args, ...serverArgs]) {
	const client = new Client({ name: "reference", version: "1.0.0" });
	client.setNotificationHandler(ToolListChangedNotificationSchema, () => {});
	await client.connect(new StdioClientTransport({ command, args: serverArgs, env: process.env, stderr: "inherit" }));
	const progress = [];
	const result = await client.callTool({ name: tool, arguments: JSON.parse(args) }, undefined, { onprogress: (p) => progress.push(p) });
	console.log(JSON.stringify({
		server: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions(),
		tools: (await client.listTools()).tools, result, progress,
	}));
	await client.close();
}

main(process.argv.slice(2)).catch((err) => {
	console.error(err);
	process.exit(1);
});
