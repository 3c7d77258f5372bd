package gate

var catalogWork = []catalogService{
	{
		name: "Linear",
		auth: `Authorization: $LINEAR_API_KEY`,
		calls: []catalogCall{
			{"linear_list_issues", `{"filter":{"state":{"name":{"eq":"Todo"}}},"first":20}`, `POST https://api.linear.app/graphql`, `{"query":"query($filter: IssueFilter, $first: Int, $after: String) { issues(filter: $filter, first: $first, after: $after) { nodes { id identifier title priority url updatedAt state { name } assignee { name } team { key } } pageInfo { hasNextPage endCursor } } }","variables":{"filter":{"state":{"name":{"eq":"Todo"}}},"first":20}}`},
			{"linear_get_issue", `{"id":"ENG-7"}`, `POST https://api.linear.app/graphql`, `{"query":"query($id: String!) { issue(id: $id) { id identifier title description priority url state { name } assignee { name } labels { nodes { name } } comments { nodes { body createdAt user { name } } } } }","variables":{"id":"ENG-7"}}`},
			{"linear_search", `{"term":"crash","first":20}`, `POST https://api.linear.app/graphql`, `{"query":"query($term: String!, $first: Int) { searchIssues(term: $term, first: $first) { nodes { id identifier title url state { name } } } }","variables":{"term":"crash","first":20}}`},
			{"linear_list_teams", `{}`, `POST https://api.linear.app/graphql`, `{"query":"query { teams { nodes { id key name states { nodes { id name type } } } } }","variables":{}}`},
			{"linear_create_issue", `{"teamId":"t1","title":"It breaks","description":"How","priority":2}`, `POST https://api.linear.app/graphql`, `{"query":"mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id identifier url } } }","variables":{"input":{"teamId":"t1","title":"It breaks","description":"How","priority":2}}}`},
			{"linear_update_issue", `{"id":"ENG-7","stateId":"s2"}`, `POST https://api.linear.app/graphql`, `{"query":"mutation($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success issue { id identifier url state { name } } } }","variables":{"id":"ENG-7","input":{"stateId":"s2"}}}`},
			{"linear_comment", `{"issueId":"ENG-7","body":"Seen"}`, `POST https://api.linear.app/graphql`, `{"query":"mutation($input: CommentCreateInput!) { commentCreate(input: $input) { success comment { id url } } }","variables":{"input":{"issueId":"ENG-7","body":"Seen"}}}`},
		},
		probes: []catalogProbe{
			{"linear", `POST https://api.linear.app/graphql`, `Authorization: $LINEAR_API_KEY`},
			{"linear", `GET https://uploads.linear.app/a/b/c`, `Authorization: $LINEAR_API_KEY`},
			{"linear", `GET https://linear.app/`, `refused`},
		},
	},
	{
		name:    "Notion",
		auth:    `Authorization: Bearer $NOTION_TOKEN`,
		headers: `Notion-Version: 2022-06-28`,
		calls: []catalogCall{
			{"notion_search", `{"query":"Plan","filter":{"property":"object","value":"page"},"page_size":10}`, `POST https://api.notion.com/v1/search`, `{"query":"Plan","filter":{"property":"object","value":"page"},"page_size":10}`},
			{"notion_get_page", `{"page":"1a2b"}`, `GET https://api.notion.com/v1/pages/1a2b`, ``},
			{"notion_get_blocks", `{"block":"1a2b","page_size":50}`, `GET https://api.notion.com/v1/blocks/1a2b/children?page_size=50`, ``},
			{"notion_query_database", `{"database":"3c4d","filter":{"property":"Done","checkbox":{"equals":false}},"page_size":10}`, `POST https://api.notion.com/v1/databases/3c4d/query`, `{"filter":{"property":"Done","checkbox":{"equals":false}},"page_size":10}`},
			{"notion_create_page", `{"parent":{"page_id":"1a2b"},"properties":{"title":{"title":[{"text":{"content":"New"}}]}}}`, `POST https://api.notion.com/v1/pages`, `{"parent":{"page_id":"1a2b"},"properties":{"title":{"title":[{"text":{"content":"New"}}]}}}`},
			{"notion_update_page", `{"page":"1a2b","properties":{"Done":{"checkbox":true}}}`, `PATCH https://api.notion.com/v1/pages/1a2b`, `{"properties":{"Done":{"checkbox":true}}}`},
			{"notion_append_blocks", `{"block":"1a2b","children":[{"paragraph":{"rich_text":[{"text":{"content":"Hi"}}]}}]}`, `PATCH https://api.notion.com/v1/blocks/1a2b/children`, `{"children":[{"paragraph":{"rich_text":[{"text":{"content":"Hi"}}]}}]}`},
			{"notion_comment", `{"page":"1a2b","text":"Seen"}`, `POST https://api.notion.com/v1/comments`, `{"parent":{"page_id":"1a2b"},"rich_text":[{"text":{"content":"Seen"}}]}`},
			{"notion_archive_page", `{"page":"1a2b"}`, `PATCH https://api.notion.com/v1/pages/1a2b`, `{"archived":true}`},
		},
		probes: []catalogProbe{
			{"notion", `POST https://api.notion.com/v1/search`, `Authorization: Bearer $NOTION_TOKEN`},
			{"notion", `POST https://api.notion.com/v1/oauth/token`, ``},
			{"notion", `GET https://www.notion.so/`, `refused`},
			{"notion", `GET https://api.notion.com/private`, `refused`},
		},
	},
	{
		name: "Jira",
		auth: `Authorization: Basic $ATLASSIAN_AUTH`,
		calls: []catalogCall{
			{"jira_search", `{"site":"acme","jql":"project = APP AND statusCategory != Done","fields":"summary,status,assignee","max_results":20}`, `GET https://acme.atlassian.net/rest/api/3/search/jql?jql=project%20%3D%20APP%20AND%20statusCategory%20%21%3D%20Done&fields=summary%2Cstatus%2Cassignee&maxResults=20`, ``},
			{"jira_get_issue", `{"site":"acme","issue":"APP-7"}`, `GET https://acme.atlassian.net/rest/api/3/issue/APP-7`, ``},
			{"jira_create_issue", `{"site":"acme","project":"APP","issuetype":"Task","summary":"It breaks","description":{"type":"doc","version":1,"content":[]},"labels":["agent"]}`, `POST https://acme.atlassian.net/rest/api/3/issue`, `{"fields":{"project":{"key":"APP"},"issuetype":{"name":"Task"},"summary":"It breaks","description":{"type":"doc","version":1,"content":[]},"labels":["agent"]}}`},
			{"jira_update_issue", `{"site":"acme","issue":"APP-7","fields":{"summary":"New"}}`, `PUT https://acme.atlassian.net/rest/api/3/issue/APP-7`, `{"fields":{"summary":"New"}}`},
			{"jira_comment", `{"site":"acme","issue":"APP-7","text":"Seen"}`, `POST https://acme.atlassian.net/rest/api/3/issue/APP-7/comment`, `{"body":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"Seen"}]}]}}`},
			{"jira_list_transitions", `{"site":"acme","issue":"APP-7"}`, `GET https://acme.atlassian.net/rest/api/3/issue/APP-7/transitions`, ``},
			{"jira_transition", `{"site":"acme","issue":"APP-7","transition":"31"}`, `POST https://acme.atlassian.net/rest/api/3/issue/APP-7/transitions`, `{"transition":{"id":"31"}}`},
			{"jira_list_projects", `{"site":"acme","query":"app","max_results":20}`, `GET https://acme.atlassian.net/rest/api/3/project/search?query=app&maxResults=20`, ``},
		},
		probes: []catalogProbe{
			{"jira", `GET https://acme.atlassian.net/rest/api/3/myself`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"jira", `POST https://acme.atlassian.net/rest/agile/1.0/sprint`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"jira", `GET https://acme.atlassian.net/rest/servicedeskapi/request`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"jira", `GET https://acme.atlassian.net/wiki/api/v2/pages`, `refused`},
			{"jira", `GET https://atlassian.net/rest/api/3/myself`, `refused`},
		},
	},
	{
		name: "Confluence",
		auth: `Authorization: Basic $ATLASSIAN_AUTH`,
		calls: []catalogCall{
			{"confluence_search", `{"site":"acme","cql":"type = page AND text ~ \"plan\"","limit":10}`, `GET https://acme.atlassian.net/wiki/rest/api/search?cql=type%20%3D%20page%20AND%20text%20~%20%22plan%22&limit=10`, ``},
			{"confluence_get_page", `{"site":"acme","page":"42","body_format":"storage"}`, `GET https://acme.atlassian.net/wiki/api/v2/pages/42?body-format=storage`, ``},
			{"confluence_list_spaces", `{"site":"acme","limit":50}`, `GET https://acme.atlassian.net/wiki/api/v2/spaces?limit=50`, ``},
			{"confluence_create_page", `{"site":"acme","space_id":"9","title":"New","body":"<p>Hi</p>"}`, `POST https://acme.atlassian.net/wiki/api/v2/pages`, `{"spaceId":"9","status":"current","title":"New","body":{"representation":"storage","value":"<p>Hi</p>"}}`},
			{"confluence_update_page", `{"site":"acme","page":"42","title":"New","body":"<p>Hi</p>","version":3}`, `PUT https://acme.atlassian.net/wiki/api/v2/pages/42`, `{"id":"42","status":"current","title":"New","body":{"representation":"storage","value":"<p>Hi</p>"},"version":{"number":3}}`},
		},
		probes: []catalogProbe{
			{"confluence", `GET https://acme.atlassian.net/wiki/api/v2/pages`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"confluence", `GET https://acme.atlassian.net/wiki/rest/api/search?cql=x`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"confluence", `GET https://acme.atlassian.net/wiki/download/attachments/1/a.png`, `Authorization: Basic $ATLASSIAN_AUTH`},
			{"confluence", `GET https://acme.atlassian.net/rest/api/3/myself`, `refused`},
			{"confluence", `GET https://api.atlassian.com/`, `refused`},
		},
	},
	{
		name: "Asana",
		auth: `Authorization: Bearer $ASANA_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"asana_list_workspaces", `{}`, `GET https://app.asana.com/api/1.0/workspaces`, ``},
			{"asana_list_projects", `{"workspace":"11","limit":50}`, `GET https://app.asana.com/api/1.0/projects?workspace=11&limit=50`, ``},
			{"asana_list_tasks", `{"project":"12","completed_since":"now","opt_fields":"name,due_on,assignee.name","limit":50}`, `GET https://app.asana.com/api/1.0/tasks?project=12&completed_since=now&opt_fields=name%2Cdue_on%2Cassignee.name&limit=50`, ``},
			{"asana_get_task", `{"task":"13"}`, `GET https://app.asana.com/api/1.0/tasks/13`, ``},
			{"asana_create_task", `{"name":"Review","projects":["12"],"notes":"Text","due_on":"2026-01-05","assignee":"me"}`, `POST https://app.asana.com/api/1.0/tasks`, `{"data":{"name":"Review","projects":["12"],"notes":"Text","due_on":"2026-01-05","assignee":"me"}}`},
			{"asana_update_task", `{"task":"13","completed":true}`, `PUT https://app.asana.com/api/1.0/tasks/13`, `{"data":{"completed":true}}`},
			{"asana_comment", `{"task":"13","text":"Seen"}`, `POST https://app.asana.com/api/1.0/tasks/13/stories`, `{"data":{"text":"Seen"}}`},
		},
		probes: []catalogProbe{
			{"asana", `GET https://app.asana.com/api/1.0/users/me`, `Authorization: Bearer $ASANA_ACCESS_TOKEN`},
			{"asana", `GET https://app.asana.com/-/oauth_token`, `refused`},
			{"asana", `GET https://asana.com/`, `refused`},
		},
	},
	{
		name: "Todoist",
		auth: `Authorization: Bearer $TODOIST_API_TOKEN`,
		calls: []catalogCall{
			{"todoist_list_tasks", `{"project_id":"6X","limit":50}`, `GET https://api.todoist.com/api/v1/tasks?project_id=6X&limit=50`, ``},
			{"todoist_filter_tasks", `{"query":"today & p1","limit":50}`, `GET https://api.todoist.com/api/v1/tasks/filter?query=today%20%26%20p1&limit=50`, ``},
			{"todoist_create_task", `{"content":"Buy milk","description":"Oat","project_id":"6X","due_string":"tomorrow at 9","priority":4}`, `POST https://api.todoist.com/api/v1/tasks`, `{"content":"Buy milk","description":"Oat","project_id":"6X","due_string":"tomorrow at 9","priority":4}`},
			{"todoist_update_task", `{"task":"7Y","due_string":"monday"}`, `POST https://api.todoist.com/api/v1/tasks/7Y`, `{"due_string":"monday"}`},
			{"todoist_close_task", `{"task":"7Y"}`, `POST https://api.todoist.com/api/v1/tasks/7Y/close`, ``},
			{"todoist_list_projects", `{"limit":50}`, `GET https://api.todoist.com/api/v1/projects?limit=50`, ``},
		},
		probes: []catalogProbe{
			{"todoist", `GET https://api.todoist.com/api/v1/labels`, `Authorization: Bearer $TODOIST_API_TOKEN`},
			{"todoist", `POST https://api.todoist.com/api/v1/access_tokens/migrate_personal_token`, ``},
			{"todoist", `GET https://app.todoist.com/`, `refused`},
		},
	},
	{
		name: "Trello",
		auth: `query key=$TRELLO_API_KEY
query token=$TRELLO_TOKEN`,
		calls: []catalogCall{
			{"trello_list_boards", `{"fields":"name,url","filter":"open"}`, `GET https://api.trello.com/1/members/me/boards?fields=name%2Curl&filter=open`, ``},
			{"trello_list_lists", `{"board":"b1"}`, `GET https://api.trello.com/1/boards/b1/lists`, ``},
			{"trello_list_cards", `{"board":"b1"}`, `GET https://api.trello.com/1/boards/b1/cards`, ``},
			{"trello_create_card", `{"idList":"l1","name":"Review","desc":"Text","due":"2026-01-05T10:00:00Z"}`, `POST https://api.trello.com/1/cards`, `{"idList":"l1","name":"Review","desc":"Text","due":"2026-01-05T10:00:00Z"}`},
			{"trello_move_card", `{"card":"c1","idList":"l2"}`, `PUT https://api.trello.com/1/cards/c1`, `{"idList":"l2"}`},
		},
		probes: []catalogProbe{
			{"trello", `GET https://api.trello.com/1/members/me`, `query key=$TRELLO_API_KEY
query token=$TRELLO_TOKEN`},
			{"trello", `GET https://api.trello.com/1/boards/b?fields=name`, `query key=$TRELLO_API_KEY
query token=$TRELLO_TOKEN`},
			{"trello", `DELETE https://api.trello.com/1/tokens/t`, ``},
			{"trello", `GET https://trello.com/`, `refused`},
		},
	},
	{
		name: "ClickUp",
		auth: `Authorization: $CLICKUP_API_TOKEN`,
		calls: []catalogCall{
			{"clickup_list_tasks", `{"list":"9","page":0}`, `GET https://api.clickup.com/api/v2/list/9/task?page=0&archived=false`, ``},
			{"clickup_create_task", `{"list":"9","name":"Review","markdown_content":"Text","priority":2}`, `POST https://api.clickup.com/api/v2/list/9/task`, `{"name":"Review","markdown_content":"Text","priority":2}`},
		},
		probes: []catalogProbe{
			{"clickup", `GET https://api.clickup.com/api/v2/team`, `Authorization: $CLICKUP_API_TOKEN`},
			{"clickup", `GET https://app.clickup.com/`, `refused`},
		},
	},
	{
		name: "monday.com",
		auth: `Authorization: $MONDAY_API_TOKEN`,
		calls: []catalogCall{
			{"monday_query", `{"query":"{ boards(limit: 5) { id name } }"}`, `POST https://api.monday.com/v2`, `{"query":"{ boards(limit: 5) { id name } }"}`},
		},
		probes: []catalogProbe{
			{"monday", `POST https://api.monday.com/v2`, `Authorization: $MONDAY_API_TOKEN`},
			{"monday", `POST https://api.monday.com/v2/file`, `Authorization: $MONDAY_API_TOKEN`},
			{"monday", `GET https://monday.com/`, `refused`},
		},
	},
	{
		name: "Airtable",
		auth: `Authorization: Bearer $AIRTABLE_API_KEY`,
		calls: []catalogCall{
			{"airtable_list_bases", `{}`, `GET https://api.airtable.com/v0/meta/bases`, ``},
			{"airtable_get_schema", `{"base":"app1"}`, `GET https://api.airtable.com/v0/meta/bases/app1/tables`, ``},
			{"airtable_list_records", `{"base":"app1","table":"Tasks","formula":"{Done}=0","max_records":20}`, `GET https://api.airtable.com/v0/app1/Tasks?filterByFormula=%7BDone%7D%3D0&maxRecords=20`, ``},
			{"airtable_create_records", `{"base":"app1","table":"Tasks","records":[{"fields":{"Name":"a"}}],"typecast":true}`, `POST https://api.airtable.com/v0/app1/Tasks`, `{"records":[{"fields":{"Name":"a"}}],"typecast":true}`},
			{"airtable_update_records", `{"base":"app1","table":"Tasks","records":[{"id":"rec1","fields":{"Name":"b"}}]}`, `PATCH https://api.airtable.com/v0/app1/Tasks`, `{"records":[{"id":"rec1","fields":{"Name":"b"}}]}`},
			{"airtable_delete_record", `{"base":"app1","table":"Tasks","record":"rec1"}`, `DELETE https://api.airtable.com/v0/app1/Tasks/rec1`, ``},
		},
		probes: []catalogProbe{
			{"airtable", `GET https://api.airtable.com/v0/meta/bases`, `Authorization: Bearer $AIRTABLE_API_KEY`},
			{"airtable", `POST https://content.airtable.com/v0/app1/rec1/fld1/uploadAttachment`, `Authorization: Bearer $AIRTABLE_API_KEY`},
			{"airtable", `GET https://airtable.com/`, `refused`},
		},
	},
	{
		name: "HubSpot",
		auth: `Authorization: Bearer $HUBSPOT_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"hubspot_search", `{"object":"contacts","query":"ada","properties":["email"],"limit":10}`, `POST https://api.hubapi.com/crm/v3/objects/contacts/search`, `{"query":"ada","properties":["email"],"limit":10}`},
			{"hubspot_create", `{"object":"contacts","properties":{"email":"a@example.com"}}`, `POST https://api.hubapi.com/crm/v3/objects/contacts`, `{"properties":{"email":"a@example.com"}}`},
			{"hubspot_update", `{"object":"deals","id":"7","properties":{"dealstage":"closedwon"}}`, `PATCH https://api.hubapi.com/crm/v3/objects/deals/7`, `{"properties":{"dealstage":"closedwon"}}`},
		},
		probes: []catalogProbe{
			{"hubspot", `GET https://api.hubapi.com/crm/v3/objects/companies`, `Authorization: Bearer $HUBSPOT_ACCESS_TOKEN`},
			{"hubspot", `POST https://api.hubapi.com/oauth/v1/token`, ``},
			{"hubspot", `GET https://app.hubspot.com/`, `refused`},
		},
	},
	{
		name: "Zendesk",
		auth: `Authorization: Basic $ZENDESK_AUTH`,
		calls: []catalogCall{
			{"zendesk_search", `{"site":"acme","query":"type:ticket status:open","per_page":20}`, `GET https://acme.zendesk.com/api/v2/search.json?query=type%3Aticket%20status%3Aopen&per_page=20`, ``},
			{"zendesk_get_ticket", `{"site":"acme","ticket":7}`, `GET https://acme.zendesk.com/api/v2/tickets/7.json`, ``},
			{"zendesk_list_comments", `{"site":"acme","ticket":7}`, `GET https://acme.zendesk.com/api/v2/tickets/7/comments.json`, ``},
			{"zendesk_comment", `{"site":"acme","ticket":7,"body":"Hello","public":false,"status":"pending"}`, `PUT https://acme.zendesk.com/api/v2/tickets/7.json`, `{"ticket":{"comment":{"body":"Hello","public":false},"status":"pending"}}`},
		},
		probes: []catalogProbe{
			{"zendesk", `GET https://acme.zendesk.com/api/v2/users/me.json`, `Authorization: Basic $ZENDESK_AUTH`},
			{"zendesk", `GET https://acme.zendesk.com/api/v2/oauth/tokens.json`, ``},
			{"zendesk", `GET https://acme.zendesk.com/agent`, `refused`},
			{"zendesk", `GET https://zendesk.com/api/v2/tickets.json`, `refused`},
		},
	},
	{
		name:    "Intercom",
		auth:    `Authorization: Bearer $INTERCOM_ACCESS_TOKEN`,
		headers: `Intercom-Version: 2.11`,
		calls: []catalogCall{
			{"intercom_search_conversations", `{"query":{"field":"state","operator":"=","value":"open"}}`, `POST https://api.intercom.io/conversations/search`, `{"query":{"field":"state","operator":"=","value":"open"}}`},
		},
		probes: []catalogProbe{
			{"intercom", `GET https://api.intercom.io/me`, `Authorization: Bearer $INTERCOM_ACCESS_TOKEN`},
			{"intercom", `GET https://api.eu.intercom.io/conversations`, `Authorization: Bearer $INTERCOM_ACCESS_TOKEN`},
			{"intercom", `GET https://app.intercom.com/`, `refused`},
		},
	},
	{
		name: "Figma",
		auth: `X-Figma-Token: $FIGMA_TOKEN`,
		calls: []catalogCall{
			{"figma_get_file", `{"file":"AbC","depth":2}`, `GET https://api.figma.com/v1/files/AbC?depth=2`, ``},
			{"figma_render", `{"file":"AbC","ids":"1:2","format":"png"}`, `GET https://api.figma.com/v1/images/AbC?ids=1%3A2&format=png`, ``},
			{"figma_list_comments", `{"file":"AbC"}`, `GET https://api.figma.com/v1/files/AbC/comments`, ``},
			{"figma_comment", `{"file":"AbC","message":"Seen"}`, `POST https://api.figma.com/v1/files/AbC/comments`, `{"message":"Seen"}`},
		},
		probes: []catalogProbe{
			{"figma", `GET https://api.figma.com/v1/me`, `X-Figma-Token: $FIGMA_TOKEN`},
			{"figma", `GET https://figma-alpha-api.s3.us-west-2.amazonaws.com/images/a`, ``},
			{"figma", `GET https://s3-alpha-sig.figma.com/img/a?Signature=s`, ``},
			{"figma", `GET https://www.figma.com/`, `refused`},
		},
	},
	{
		name: "Dropbox",
		auth: `Authorization: Bearer $DROPBOX_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"dropbox_list_folder", `{"path":"/plans","recursive":false,"limit":50}`, `POST https://api.dropboxapi.com/2/files/list_folder`, `{"path":"/plans","recursive":false,"limit":50}`},
			{"dropbox_search", `{"query":"plan"}`, `POST https://api.dropboxapi.com/2/files/search_v2`, `{"query":"plan"}`},
		},
		probes: []catalogProbe{
			{"dropbox", `POST https://api.dropboxapi.com/2/users/get_current_account`, `Authorization: Bearer $DROPBOX_ACCESS_TOKEN`},
			{"dropbox", `POST https://content.dropboxapi.com/2/files/upload`, `Authorization: Bearer $DROPBOX_ACCESS_TOKEN`},
			{"dropbox", `POST https://api.dropboxapi.com/oauth2/token`, `refused`},
			{"dropbox", `GET https://www.dropbox.com/`, `refused`},
		},
	},
}
