package gate

var catalogModels = []catalogService{
	{
		name: "OpenAI",
		auth: `Authorization: Bearer $OPENAI_API_KEY`,
		calls: []catalogCall{
			{"openai_respond", `{"model":"gpt-5","input":"Hi","instructions":"Be short.","max_output_tokens":100}`, `POST https://api.openai.com/v1/responses`, `{"model":"gpt-5","input":"Hi","instructions":"Be short.","max_output_tokens":100}`},
			{"openai_chat", `{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":100}`, `POST https://api.openai.com/v1/chat/completions`, `{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":100}`},
			{"openai_embed", `{"model":"text-embedding-3-small","input":["a","b"],"dimensions":256}`, `POST https://api.openai.com/v1/embeddings`, `{"model":"text-embedding-3-small","input":["a","b"],"dimensions":256}`},
			{"openai_generate_image", `{"model":"gpt-image-1","prompt":"A gate","size":"1024x1024"}`, `POST https://api.openai.com/v1/images/generations`, `{"model":"gpt-image-1","prompt":"A gate","size":"1024x1024"}`},
			{"openai_moderate", `{"input":["a"]}`, `POST https://api.openai.com/v1/moderations`, `{"input":["a"]}`},
			{"openai_list_models", `{}`, `GET https://api.openai.com/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"openai", `POST https://api.openai.com/v1/responses`, `Authorization: Bearer $OPENAI_API_KEY`},
			{"openai", `GET https://eu.api.openai.com/v1/models`, `Authorization: Bearer $OPENAI_API_KEY`},
			{"openai", `GET https://api.openai.com/v1/organization/admin_api_keys`, ``},
			{"openai", `POST https://api.openai.com/v1/realtime/client_secrets`, ``},
			{"openai", `GET https://chatgpt.com/`, `refused`},
		},
	},
	{
		name:    "Anthropic",
		auth:    `X-Api-Key: $ANTHROPIC_API_KEY`,
		headers: `anthropic-version: 2023-06-01`,
		calls: []catalogCall{
			{"anthropic_message", `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"system":"Be short."}`, `POST https://api.anthropic.com/v1/messages`, `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"system":"Be short."}`},
			{"anthropic_count_tokens", `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}]}`, `POST https://api.anthropic.com/v1/messages/count_tokens`, `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"Hi"}]}`},
			{"anthropic_list_models", `{"limit":5}`, `GET https://api.anthropic.com/v1/models?limit=5`, ``},
		},
		probes: []catalogProbe{
			{"anthropic", `POST https://api.anthropic.com/v1/messages`, `X-Api-Key: $ANTHROPIC_API_KEY`},
			{"anthropic", `GET https://api.anthropic.com/v1/organizations/api_keys`, ``},
			{"anthropic", `GET https://claude.ai/`, `refused`},
		},
	},
	{
		name: "Google Gemini",
		auth: `X-Goog-Api-Key: $GEMINI_API_KEY`,
		calls: []catalogCall{
			{"gemini_generate", `{"model":"gemini-2.5-flash","contents":[{"role":"user","parts":[{"text":"Hi"}]}],"systemInstruction":{"parts":[{"text":"Be short."}]},"generationConfig":{"maxOutputTokens":100}}`, `POST https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent`, `{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"systemInstruction":{"parts":[{"text":"Be short."}]},"generationConfig":{"maxOutputTokens":100}}`},
			{"gemini_embed", `{"model":"gemini-embedding-001","text":"a"}`, `POST https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:embedContent`, `{"content":{"parts":[{"text":"a"}]}}`},
			{"gemini_count_tokens", `{"model":"gemini-2.5-flash","contents":[{"role":"user","parts":[{"text":"Hi"}]}]}`, `POST https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:countTokens`, `{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}`},
			{"gemini_list_models", `{"page_size":50}`, `GET https://generativelanguage.googleapis.com/v1beta/models?pageSize=50`, ``},
		},
		probes: []catalogProbe{
			{"gemini", `POST https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse`, `X-Goog-Api-Key: $GEMINI_API_KEY`},
			{"gemini", `GET https://generativelanguage.googleapis.com/v1beta/models?key=$GEMINI_API_KEY`, `X-Goog-Api-Key: $GEMINI_API_KEY`},
			{"gemini", `POST https://generativelanguage.googleapis.com/upload/v1beta/files`, `X-Goog-Api-Key: $GEMINI_API_KEY`},
			{"gemini", `GET https://www.googleapis.com/`, `refused`},
		},
	},
	{
		name: "Mistral",
		auth: `Authorization: Bearer $MISTRAL_API_KEY`,
		calls: []catalogCall{
			{"mistral_chat", `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.mistral.ai/v1/chat/completions`, `{"model":"mistral-small-latest","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"mistral_list_models", `{}`, `GET https://api.mistral.ai/v1/models`, ``},
			{"mistral_embed", `{"model":"mistral-embed","input":["a","b"]}`, `POST https://api.mistral.ai/v1/embeddings`, `{"model":"mistral-embed","input":["a","b"]}`},
			{"mistral_ocr", `{"model":"mistral-ocr-latest","document":{"type":"document_url","document_url":"https://example.com/a.pdf"}}`, `POST https://api.mistral.ai/v1/ocr`, `{"model":"mistral-ocr-latest","document":{"type":"document_url","document_url":"https://example.com/a.pdf"}}`},
		},
		probes: []catalogProbe{
			{"mistral", `POST https://api.mistral.ai/v1/chat/completions`, `Authorization: Bearer $MISTRAL_API_KEY`},
			{"mistral", `GET https://api.mistral.ai/v1/models`, `Authorization: Bearer $MISTRAL_API_KEY`},
			{"mistral", `GET https://outside.api.mistral.ai/`, `refused`},
		},
	},
	{
		name: "OpenRouter",
		auth: `Authorization: Bearer $OPENROUTER_API_KEY`,
		calls: []catalogCall{
			{"openrouter_chat", `{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://openrouter.ai/api/v1/chat/completions`, `{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"openrouter_list_models", `{}`, `GET https://openrouter.ai/api/v1/models`, ``},
			{"openrouter_get_key", `{}`, `GET https://openrouter.ai/api/v1/key`, ``},
		},
		probes: []catalogProbe{
			{"openrouter", `POST https://openrouter.ai/api/v1/chat/completions`, `Authorization: Bearer $OPENROUTER_API_KEY`},
			{"openrouter", `GET https://openrouter.ai/api/v1/models`, `Authorization: Bearer $OPENROUTER_API_KEY`},
			{"openrouter", `GET https://openrouter.ai/api/v1/keys`, ``},
			{"openrouter", `GET https://openrouter.ai/api/v1/auth`, ``},
			{"openrouter", `GET https://outside.openrouter.ai/`, `refused`},
		},
	},
	{
		name: "Groq",
		auth: `Authorization: Bearer $GROQ_API_KEY`,
		calls: []catalogCall{
			{"groq_chat", `{"model":"llama-3.3-70b-versatile","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.groq.com/openai/v1/chat/completions`, `{"model":"llama-3.3-70b-versatile","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"groq_list_models", `{}`, `GET https://api.groq.com/openai/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"groq", `POST https://api.groq.com/openai/v1/chat/completions`, `Authorization: Bearer $GROQ_API_KEY`},
			{"groq", `GET https://api.groq.com/openai/v1/models`, `Authorization: Bearer $GROQ_API_KEY`},
			{"groq", `GET https://outside.api.groq.com/`, `refused`},
		},
	},
	{
		name: "DeepSeek",
		auth: `Authorization: Bearer $DEEPSEEK_API_KEY`,
		calls: []catalogCall{
			{"deepseek_chat", `{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.deepseek.com/chat/completions`, `{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"deepseek_list_models", `{}`, `GET https://api.deepseek.com/models`, ``},
		},
		probes: []catalogProbe{
			{"deepseek", `POST https://api.deepseek.com/chat/completions`, `Authorization: Bearer $DEEPSEEK_API_KEY`},
			{"deepseek", `GET https://api.deepseek.com/models`, `Authorization: Bearer $DEEPSEEK_API_KEY`},
			{"deepseek", `GET https://outside.api.deepseek.com/`, `refused`},
		},
	},
	{
		name: "xAI",
		auth: `Authorization: Bearer $XAI_API_KEY`,
		calls: []catalogCall{
			{"xai_chat", `{"model":"grok-4","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.x.ai/v1/chat/completions`, `{"model":"grok-4","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"xai_list_models", `{}`, `GET https://api.x.ai/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"xai", `POST https://api.x.ai/v1/chat/completions`, `Authorization: Bearer $XAI_API_KEY`},
			{"xai", `GET https://api.x.ai/v1/models`, `Authorization: Bearer $XAI_API_KEY`},
			{"xai", `GET https://outside.api.x.ai/`, `refused`},
		},
	},
	{
		name: "Together",
		auth: `Authorization: Bearer $TOGETHER_API_KEY`,
		calls: []catalogCall{
			{"together_chat", `{"model":"meta-llama/Llama-3.3-70B-Instruct-Turbo","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.together.xyz/v1/chat/completions`, `{"model":"meta-llama/Llama-3.3-70B-Instruct-Turbo","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"together_list_models", `{}`, `GET https://api.together.xyz/v1/models`, ``},
			{"together_embed", `{"model":"BAAI/bge-large-en-v1.5","input":["a","b"]}`, `POST https://api.together.xyz/v1/embeddings`, `{"model":"BAAI/bge-large-en-v1.5","input":["a","b"]}`},
		},
		probes: []catalogProbe{
			{"together", `POST https://api.together.xyz/v1/chat/completions`, `Authorization: Bearer $TOGETHER_API_KEY`},
			{"together", `GET https://api.together.xyz/v1/models`, `Authorization: Bearer $TOGETHER_API_KEY`},
			{"together", `GET https://outside.api.together.xyz/`, `refused`},
		},
	},
	{
		name: "Fireworks",
		auth: `Authorization: Bearer $FIREWORKS_API_KEY`,
		calls: []catalogCall{
			{"fireworks_chat", `{"model":"accounts/fireworks/models/llama-v3p3-70b-instruct","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.fireworks.ai/inference/v1/chat/completions`, `{"model":"accounts/fireworks/models/llama-v3p3-70b-instruct","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"fireworks_list_models", `{}`, `GET https://api.fireworks.ai/inference/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"fireworks", `POST https://api.fireworks.ai/inference/v1/chat/completions`, `Authorization: Bearer $FIREWORKS_API_KEY`},
			{"fireworks", `GET https://api.fireworks.ai/inference/v1/models`, `Authorization: Bearer $FIREWORKS_API_KEY`},
			{"fireworks", `GET https://outside.api.fireworks.ai/`, `refused`},
		},
	},
	{
		name: "Cerebras",
		auth: `Authorization: Bearer $CEREBRAS_API_KEY`,
		calls: []catalogCall{
			{"cerebras_chat", `{"model":"llama-3.3-70b","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://api.cerebras.ai/v1/chat/completions`, `{"model":"llama-3.3-70b","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"cerebras_list_models", `{}`, `GET https://api.cerebras.ai/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"cerebras", `POST https://api.cerebras.ai/v1/chat/completions`, `Authorization: Bearer $CEREBRAS_API_KEY`},
			{"cerebras", `GET https://api.cerebras.ai/v1/models`, `Authorization: Bearer $CEREBRAS_API_KEY`},
			{"cerebras", `GET https://outside.api.cerebras.ai/`, `refused`},
		},
	},
	{
		name: "NVIDIA NIM",
		auth: `Authorization: Bearer $NVIDIA_API_KEY`,
		calls: []catalogCall{
			{"nvidia_chat", `{"model":"meta/llama-3.3-70b-instruct","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`, `POST https://integrate.api.nvidia.com/v1/chat/completions`, `{"model":"meta/llama-3.3-70b-instruct","messages":[{"role":"user","content":"Hi"}],"max_tokens":100,"temperature":0.5}`},
			{"nvidia_list_models", `{}`, `GET https://integrate.api.nvidia.com/v1/models`, ``},
		},
		probes: []catalogProbe{
			{"nvidia", `POST https://integrate.api.nvidia.com/v1/chat/completions`, `Authorization: Bearer $NVIDIA_API_KEY`},
			{"nvidia", `GET https://integrate.api.nvidia.com/v1/models`, `Authorization: Bearer $NVIDIA_API_KEY`},
			{"nvidia", `GET https://outside.integrate.api.nvidia.com/`, `refused`},
		},
	},
	{
		name: "Perplexity",
		auth: `Authorization: Bearer $PERPLEXITY_API_KEY`,
		calls: []catalogCall{
			{"perplexity_chat", `{"model":"sonar","messages":[{"role":"user","content":"News?"}],"search_domain_filter":["example.com"],"search_recency_filter":"week"}`, `POST https://api.perplexity.ai/chat/completions`, `{"model":"sonar","messages":[{"role":"user","content":"News?"}],"search_domain_filter":["example.com"],"search_recency_filter":"week"}`},
			{"perplexity_search", `{"query":"proxy news","max_results":5}`, `POST https://api.perplexity.ai/search`, `{"query":"proxy news","max_results":5}`},
		},
		probes: []catalogProbe{
			{"perplexity", `POST https://api.perplexity.ai/chat/completions`, `Authorization: Bearer $PERPLEXITY_API_KEY`},
			{"perplexity", `GET https://www.perplexity.ai/`, `refused`},
		},
	},
	{
		name: "Cohere",
		auth: `Authorization: Bearer $COHERE_API_KEY`,
		calls: []catalogCall{
			{"cohere_chat", `{"model":"command-a-03-2025","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}`, `POST https://api.cohere.com/v2/chat`, `{"model":"command-a-03-2025","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}`},
			{"cohere_embed", `{"model":"embed-v4.0","texts":["a"],"input_type":"search_document"}`, `POST https://api.cohere.com/v2/embed`, `{"model":"embed-v4.0","texts":["a"],"input_type":"search_document","embedding_types":["float"]}`},
			{"cohere_rerank", `{"model":"rerank-v3.5","query":"why","documents":["a","b"],"top_n":1}`, `POST https://api.cohere.com/v2/rerank`, `{"model":"rerank-v3.5","query":"why","documents":["a","b"],"top_n":1}`},
		},
		probes: []catalogProbe{
			{"cohere", `POST https://api.cohere.com/v2/chat`, `Authorization: Bearer $COHERE_API_KEY`},
			{"cohere", `GET https://dashboard.cohere.com/`, `refused`},
		},
	},
	{
		name: "Hugging Face",
		auth: `Authorization: Bearer $HF_TOKEN`,
		calls: []catalogCall{
			{"huggingface_chat", `{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}`, `POST https://router.huggingface.co/v1/chat/completions`, `{"model":"openai/gpt-oss-120b","messages":[{"role":"user","content":"Hi"}],"max_tokens":100}`},
			{"huggingface_search_models", `{"search":"bert","limit":5}`, `GET https://huggingface.co/api/models?search=bert&limit=5`, ``},
			{"huggingface_search_datasets", `{"search":"squad","limit":5}`, `GET https://huggingface.co/api/datasets?search=squad&limit=5`, ``},
			{"huggingface_get_model", `{"owner":"google","model":"gemma-3-4b-it"}`, `GET https://huggingface.co/api/models/google/gemma-3-4b-it`, ``},
		},
		probes: []catalogProbe{
			{"huggingface", `GET https://huggingface.co/api/whoami-v2`, `Authorization: Bearer $HF_TOKEN`},
			{"huggingface", `GET https://huggingface.co/o/m/resolve/main/config.json`, `Authorization: Bearer $HF_TOKEN`},
			{"huggingface", `POST https://router.huggingface.co/v1/chat/completions`, `Authorization: Bearer $HF_TOKEN`},
			{"huggingface", `GET https://huggingface.co/o/m.git/info/refs?service=git-upload-pack`, `Authorization: Basic base64(user:$HF_TOKEN)`},
			{"huggingface", `POST https://huggingface.co/datasets/o/d.git/git-receive-pack`, `Authorization: Basic base64(user:$HF_TOKEN)`},
			{"huggingface", `GET https://cas-bridge.xethub.hf.co/x?X-Amz-Signature=s`, ``},
			{"huggingface", `GET https://cdn-lfs.huggingface.co/x?Signature=s`, ``},
			{"huggingface", `GET https://hf.space/`, `refused`},
		},
	},
	{
		name:    "Replicate",
		auth:    `Authorization: Bearer $REPLICATE_API_TOKEN`,
		headers: `Prefer: wait`,
		calls: []catalogCall{
			{"replicate_predict", `{"owner":"black-forest-labs","model":"flux-schnell","input":{"prompt":"a gate"}}`, `POST https://api.replicate.com/v1/models/black-forest-labs/flux-schnell/predictions`, `{"input":{"prompt":"a gate"}}`},
		},
		probes: []catalogProbe{
			{"replicate", `POST https://api.replicate.com/v1/predictions`, `Authorization: Bearer $REPLICATE_API_TOKEN`},
			{"replicate", `GET https://replicate.delivery/x.png`, ``},
			{"replicate", `GET https://replicate.com/`, `refused`},
		},
	},
	{
		name: "Replicate",
		auth: `Authorization: Bearer $REPLICATE_API_TOKEN`,
		calls: []catalogCall{
			{"replicate_get_prediction", `{"id":"abc123"}`, `GET https://api.replicate.com/v1/predictions/abc123`, ``},
		},
	},
	{
		name: "Azure OpenAI",
		auth: `Api-Key: $AZURE_OPENAI_API_KEY`,
		calls: []catalogCall{
			{"azure_openai_chat", `{"resource":"acme","deployment":"gpt-5-mini","api_version":"2024-10-21","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":100}`, `POST https://acme.openai.azure.com/openai/deployments/gpt-5-mini/chat/completions?api-version=2024-10-21`, `{"messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":100}`},
		},
		probes: []catalogProbe{
			{"azure_openai", `POST https://acme.openai.azure.com/openai/v1/responses`, `Api-Key: $AZURE_OPENAI_API_KEY`},
			{"azure_openai", `GET https://openai.azure.com/`, `refused`},
		},
	},
	{
		name: "ElevenLabs",
		auth: `Xi-Api-Key: $ELEVENLABS_API_KEY`,
		calls: []catalogCall{
			{"elevenlabs_speak", `{"voice":"21m00Tcm4TlvDq8ikWAM","text":"Hello","model_id":"eleven_multilingual_v2","output_format":"mp3_44100_128"}`, `POST https://api.elevenlabs.io/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128`, `{"text":"Hello","model_id":"eleven_multilingual_v2"}`},
			{"elevenlabs_list_voices", `{"search":"calm"}`, `GET https://api.elevenlabs.io/v2/voices?search=calm`, ``},
		},
		probes: []catalogProbe{
			{"elevenlabs", `POST https://api.elevenlabs.io/v1/text-to-speech/v`, `Xi-Api-Key: $ELEVENLABS_API_KEY`},
			{"elevenlabs", `GET https://elevenlabs.io/`, `refused`},
		},
	},
	{
		name: "Deepgram",
		auth: `Authorization: Token $DEEPGRAM_API_KEY`,
		calls: []catalogCall{
			{"deepgram_transcribe", `{"url":"https://example.com/a.wav","model":"nova-3","language":"en"}`, `POST https://api.deepgram.com/v1/listen?model=nova-3&language=en&smart_format=true`, `{"url":"https://example.com/a.wav"}`},
		},
		probes: []catalogProbe{
			{"deepgram", `POST https://api.deepgram.com/v1/listen?model=nova-3`, `Authorization: Token $DEEPGRAM_API_KEY`},
			{"deepgram", `POST https://api.deepgram.com/v1/projects/p/keys`, ``},
			{"deepgram", `GET https://console.deepgram.com/`, `refused`},
		},
	},
	{
		name:    "Brave Search",
		auth:    `X-Subscription-Token: $BRAVE_API_KEY`,
		headers: `Accept: application/json`,
		calls: []catalogCall{
			{"brave_search", `{"q":"forward proxy","count":5,"freshness":"pw"}`, `GET https://api.search.brave.com/res/v1/web/search?q=forward%20proxy&count=5&freshness=pw`, ``},
		},
		probes: []catalogProbe{
			{"brave", `GET https://api.search.brave.com/res/v1/news/search?q=x`, `X-Subscription-Token: $BRAVE_API_KEY`},
			{"brave", `POST https://api.search.brave.com/res/v1/web/search`, `refused`},
			{"brave", `GET https://search.brave.com/`, `refused`},
		},
	},
	{
		name: "Tavily",
		auth: `Authorization: Bearer $TAVILY_API_KEY`,
		calls: []catalogCall{
			{"tavily_search", `{"query":"forward proxy","max_results":5,"search_depth":"basic"}`, `POST https://api.tavily.com/search`, `{"query":"forward proxy","max_results":5,"search_depth":"basic"}`},
			{"tavily_extract", `{"urls":["https://example.com/"]}`, `POST https://api.tavily.com/extract`, `{"urls":["https://example.com/"]}`},
		},
		probes: []catalogProbe{
			{"tavily", `POST https://api.tavily.com/search`, `Authorization: Bearer $TAVILY_API_KEY`},
			{"tavily", `GET https://app.tavily.com/`, `refused`},
		},
	},
	{
		name: "Exa",
		auth: `X-Api-Key: $EXA_API_KEY`,
		calls: []catalogCall{
			{"exa_search", `{"query":"forward proxies","numResults":5,"type":"auto","contents":{"text":true}}`, `POST https://api.exa.ai/search`, `{"query":"forward proxies","numResults":5,"type":"auto","contents":{"text":true}}`},
		},
		probes: []catalogProbe{
			{"exa", `POST https://api.exa.ai/contents`, `X-Api-Key: $EXA_API_KEY`},
			{"exa", `GET https://exa.ai/`, `refused`},
		},
	},
	{
		name: "Firecrawl",
		auth: `Authorization: Bearer $FIRECRAWL_API_KEY`,
		calls: []catalogCall{
			{"firecrawl_scrape", `{"url":"https://example.com/","formats":["markdown"]}`, `POST https://api.firecrawl.dev/v2/scrape`, `{"url":"https://example.com/","formats":["markdown"]}`},
		},
		probes: []catalogProbe{
			{"firecrawl", `POST https://api.firecrawl.dev/v2/crawl`, `Authorization: Bearer $FIRECRAWL_API_KEY`},
			{"firecrawl", `GET https://firecrawl.dev/`, `refused`},
		},
	},
	{
		name: "SerpApi",
		auth: `query api_key=$SERPAPI_API_KEY`,
		calls: []catalogCall{
			{"serpapi_search", `{"q":"forward proxy","engine":"google","num":5}`, `GET https://serpapi.com/search.json?engine=google&q=forward%20proxy&num=5`, ``},
		},
		probes: []catalogProbe{
			{"serpapi", `GET https://serpapi.com/search.json?engine=google&q=x`, `query api_key=$SERPAPI_API_KEY`},
			{"serpapi", `GET https://serpapi.com/dashboard`, `refused`},
		},
	},
	{
		name:    "Jina",
		auth:    `Authorization: Bearer $JINA_API_KEY`,
		headers: `Accept: application/json`,
		calls: []catalogCall{
			{"jina_read", `{"url":"https://example.com/"}`, `POST https://r.jina.ai/`, `{"url":"https://example.com/"}`},
			{"jina_embed", `{"model":"jina-embeddings-v3","input":["a"]}`, `POST https://api.jina.ai/v1/embeddings`, `{"model":"jina-embeddings-v3","input":["a"]}`},
		},
		probes: []catalogProbe{
			{"jina", `GET https://r.jina.ai/example.com`, `Authorization: Bearer $JINA_API_KEY`},
			{"jina", `POST https://api.jina.ai/v1/embeddings`, `Authorization: Bearer $JINA_API_KEY`},
			{"jina", `GET https://jina.ai/`, `refused`},
		},
	},
	{
		name:    "Pinecone",
		auth:    `Api-Key: $PINECONE_API_KEY`,
		headers: `X-Pinecone-API-Version: 2025-04`,
		calls: []catalogCall{
			{"pinecone_list_indexes", `{}`, `GET https://api.pinecone.io/indexes`, ``},
			{"pinecone_query", `{"host":"docs-abc.svc.aped-4627-b74a.pinecone.io","vector":[0.1,0.2],"topK":3,"includeMetadata":true}`, `POST https://docs-abc.svc.aped-4627-b74a.pinecone.io/query`, `{"vector":[0.1,0.2],"topK":3,"includeMetadata":true}`},
		},
		probes: []catalogProbe{
			{"pinecone", `GET https://api.pinecone.io/indexes`, `Api-Key: $PINECONE_API_KEY`},
			{"pinecone", `POST https://docs-abc.svc.aped-1.pinecone.io/query`, `Api-Key: $PINECONE_API_KEY`},
			{"pinecone", `GET https://pinecone.example.com/`, `refused`},
		},
	},
}
